"""Whether the libraries of the extra `trial` are installed. They take seconds to load; this loads none."""

from importlib.util import find_spec

from trials.judgments import TrialError

LIBRARIES = ("choix", "krippendorff", "numpy", "scipy", "sklearn", "statsmodels")


def require_libraries() -> None:
    """Make sure that statistics can be computed, before anything is spent on judgments.

    Raises:
        TrialError: a library is not installed; the message says what to install.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise TrialError(
            f"a trial needs {', '.join(missing)}, not installed here: "
            "run `pip install -e '.[trial]'` in the folder of coevol"
        )
