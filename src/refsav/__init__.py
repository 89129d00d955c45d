"""RefSAV: the data engine of the Sa2VA paper (arXiv 2501.04001, section 3.3) as software."""

__version__ = "0.1.0"
