"""Pages for people, over the same stages as `api` and behind the same door: rendered on the server, working without JavaScript.

A page is a query model that parses its address, a pure function that builds one frozen view, and a template of loops. The
address is the state, so Back, reload and a link sent to somebody show the same.
"""

from tunix_rt.web.app import make

__all__ = ["make"]
