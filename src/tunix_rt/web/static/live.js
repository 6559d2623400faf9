export function follow() {}
