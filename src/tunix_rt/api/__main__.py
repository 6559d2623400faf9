"""`python -m tunix_rt.api`: the reference as Markdown, for `make docs`."""

import sys

from tunix_rt import api
from tunix_rt.api import reference

sys.stdout.write(reference.markdown(api.document()))
