"""Nothing secret or private goes into what is published: the forms in which keys and tokens are issued, what this machine holds
as secret, and places on it.

A finding names the file and the kind and never repeats the secret. Forms without a mark of their own (a bare hex string) cannot
be told from a digest; they are found only when the environment holds them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tunix_rt import errors

SHORTEST = 8  # characters of a secret of the environment: shorter ones occur by chance
_FORMS = {
    "private key": rb"-----BEGIN (?:[A-Z]{1,12} ){0,3}PRIVATE KEY-----",
    "AWS access key": rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "AWS secret key": rb"(?i)aws.{0,20}secret.{0,20}[=:\"' ]{1,4}[A-Za-z0-9/+]{40}\b",
    "GitHub token": rb"\bgh[pousr]_[A-Za-z0-9]{36,251}\b|\bgithub_pat_[A-Za-z0-9_]{22,251}\b",
    "GitLab token": rb"\bglpat-[A-Za-z0-9_-]{20,}",
    "Hugging Face token": rb"\bhf_[A-Za-z0-9]{30,}\b",
    "OpenAI or Anthropic key": rb"\bsk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{20,}",
    "Google API key": rb"\bAIza[A-Za-z0-9_-]{35}\b",
    "Google OAuth token": rb"\bya29\.[A-Za-z0-9_-]{20,}",
    "Slack token": rb"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "Slack webhook": rb"hooks\.slack\.com/services/[A-Za-z0-9/]{20,}",
    "Stripe key": rb"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}\b",
    "npm token": rb"\bnpm_[A-Za-z0-9]{36}\b",
    "package index token": rb"\bpypi-[A-Za-z0-9_-]{40,}",
    "SendGrid key": rb"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "Weights & Biases key": rb"(?i)wandb.{0,20}key.{0,4}[=:\"' ]{1,4}[a-f0-9]{40}\b",
    "Kaggle key": rb"\"key\": ?\"[a-f0-9]{32}\"|\bKGAT_[A-Za-z0-9]{20,}",
    "Databricks token": rb"\bdapi[a-f0-9]{32}\b",
    "DigitalOcean token": rb"\bdo[opr]_v1_[a-f0-9]{64}\b",
    "Telegram bot token": rb"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b",
    "JSON web token": rb"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "bearer token": rb"(?i)authorization[\"']? ?: ?[\"']?bearer [A-Za-z0-9._~+/-]{16,}",
    "basic credentials": rb"(?i)authorization[\"']? ?: ?[\"']?basic [A-Za-z0-9+/]{16,}",
    "address with a password": rb"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"']{1,60}:[^\s/@\"']{3,100}@",
    "assigned secret": (
        rb"(?i)\b[a-z0-9_]{0,30}(?:password|passwd|secret|api_?key|access_?token|auth_?token)[a-z0-9_]{0,10}"
        rb"(?:\"|')? ?[=:] ?(?:\\?\"|')?[A-Za-z0-9!@#$%^&*()_+/.-]{12,}"
    ),
    "age key": rb"\bAGE-SECRET-KEY-1[A-Z0-9]{50,}",
    "own service token": rb"\btrt_[A-Za-z0-9_-]{20,}",
}
_COMPILED = {kind: re.compile(pattern) for kind, pattern in _FORMS.items()}


class Finding(NamedTuple):
    file: str
    kind: str


def find(members: Mapping[str, bytes], known: Iterable[str] = ()) -> Iterator[Finding]:
    """What looks like a secret, or is one of the `known` values, file by file. Binary tensors are searched for known ones."""
    values = [value.encode() for value in known if len(value) >= SHORTEST]
    for name, data in members.items():
        if any(value in data for value in values):
            yield Finding(name, "a secret of this machine's environment")
        if not name.endswith((".safetensors", ".py")):
            yield from (Finding(name, kind) for kind, pattern in _COMPILED.items() if pattern.search(data))


def refuse(members: Mapping[str, bytes], known: Iterable[str]) -> None:
    """Raise `errors.Unsafe` naming the first file with a secret in it."""
    for finding in find(members, known):
        raise errors.Unsafe(
            f"{finding.file} contains what looks like a secret ({finding.kind}); a bundle is published, so it is not packed. "
            "Remove it at its source, and revoke it if it was real.",
            file=finding.file,
            kind=finding.kind,
        )


def refuse_paths(members: Mapping[str, bytes], folders: Iterable[Path]) -> None:
    """Raise `errors.Invalid` naming the first file with a path of this machine in it; `folders` are where the members lie."""
    private = list(_private(list(folders)))
    for name, data in members.items():
        for path in private:
            if path.encode() in data:
                raise errors.Invalid(
                    f"{name} contains {path!r}, a path of this machine; a bundle is published, so it is not packed.",
                    file=name,
                    path=path,
                )


def _private(folders: list[Path]) -> Iterator[str]:
    """The home folder, every input folder, and the workspace two levels above an input, if that is deep enough to be one."""
    resolved = [folder.absolute() for folder in folders] + [folder.resolve() for folder in folders]
    yield from {str(folder) for folder in resolved}
    homes = {Path.home(), *(folder.parent.parent for folder in resolved if len(folder.parts) > 4)}
    yield from {str(home) for home in homes if len(home.parts) > 1}
