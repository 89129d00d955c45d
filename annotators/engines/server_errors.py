"""What a server says when it refuses, and what a lost connection says: read from whatever form it came in."""

import json
import re
import time
from email.utils import parsedate_to_datetime

import openai


def message_of(error: openai.APIStatusError) -> str:
    """What a server says about a refusal, from JSON, HTML or plain text."""
    body = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body.get("error") or json.dumps(body)
    return re.sub(r"<[^>]*>", " ", str(body or error.response.text)).strip() or "no message"


def cause_of(error: BaseException) -> str:
    """Why a connection failed, in the words of the innermost error that has any."""
    words = type(error).__name__
    inner: BaseException | None = error
    while inner is not None:
        words = str(inner).strip() or words
        inner = inner.__cause__ or inner.__context__
    return words


def asked_pause_s(error: openai.APIStatusError) -> float:
    """Seconds that a server asks to wait; 0 where it does not say."""
    asked = error.response.headers.get("retry-after", "")
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except ValueError:
        return 0.0
