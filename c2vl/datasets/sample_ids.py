"""Sample ids from names of any kind: an id becomes part of paths and keys, a name never does."""

from __future__ import annotations

import re
import unicodedata

from c2vl.core.digest import digest_of
from c2vl.core.tables.shard import is_sample_id

LONGEST = 60  # characters of a name that its id keeps


def sample_id(name: str) -> str:
    """Return the id of the sample called `name`.

    A name of letters, digits and `._-` is its own id. Any other name loses its other signs and
    gets eight digits of its hash, so that two names never share an id by accident.

    Examples:
        >>> sample_id("v_Basketball_g01_c02")
        'v_Basketball_g01_c02'
        >>> sample_id("brush hair/April 09.avi")
        'brush_hair_April_09.avi-2a3659fb'
        >>> sample_id("../../etc/passwd")
        'etc_passwd-03d91574'
    """
    if is_sample_id(name):
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9.-]+", "_", plain).strip("._-")[:LONGEST].rstrip("._-")
    return f"{words or 'sample'}-{digest_of(name.encode(errors='surrogatepass'))[:8]}"
