"""Echo makes its answers itself."""

from contracts._vendor import Apart

VENDOR = Apart("it repeats what it was told, and no vendor stands behind it")
