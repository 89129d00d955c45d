"""The message of a server's error response, and the cause of a failed connection."""

import json
import re
import time
from email.utils import parsedate_to_datetime

import openai


def message_of(error: openai.APIStatusError) -> str:
    """The message of an error response, from JSON, HTML or plain text."""
    body = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body.get("error") or json.dumps(body)
    return re.sub(r"<[^>]*>", " ", str(body or error.response.text)).strip() or "no message"


def cause_of(error: BaseException) -> str:
    """Why a connection failed: the message of the innermost error that has one."""
    words = type(error).__name__
    inner: BaseException | None = error
    while inner is not None:
        words = str(inner).strip() or words
        inner = inner.__cause__ or inner.__context__
    return words


def requested_pause_s(error: openai.APIStatusError) -> float:
    """Seconds in the Retry-After header of a response; 0 without one."""
    asked = error.response.headers.get("retry-after", "")
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except ValueError:
        return 0.0
