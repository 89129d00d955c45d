"""Optional parts of RefSAV: what to install when one is missing."""

from importlib.util import find_spec

from refsav.errors import RefSavError


class MissingExtraError(RefSavError):
    """A command needs packages that the base install does not bring."""


def require(extra: str, *packages: str) -> None:
    """Make sure that packages of an extra are installed, without importing them.

    Raises:
        MissingExtraError: If one is missing; the message names what to install.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise MissingExtraError(
            f"{', '.join(missing)}: not installed; this command needs the extra {extra!r}",
            fix=f"pip install 'refsav[{extra}]', or in a clone: pip install -e '.[{extra}]'",
        )
