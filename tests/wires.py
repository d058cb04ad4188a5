"""The providers' wires as the scripted server speaks them: requests read, replies built."""

import base64
import hashlib
import http.client
import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

CODES = {401: "invalid_api_key", 404: "not_found", 429: "rate_limit_exceeded"}


@dataclass(slots=True)
class Recorded:
    """One request that arrived whole; `answered` says that the whole reply was handed over."""

    at: float  # time.monotonic()
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    wire: str = ""
    model: str = ""
    prompt: str = ""
    images: list[bytes] = field(default_factory=list)
    answered: bool = False
    number: int = 0  # its place in the order of arrival, from 1


def expected_answer(prompt: str, images: Iterable[bytes] = ()) -> str:
    """Tell the default answer, which belongs to this prompt with these images alone."""
    whole = prompt.encode("utf-8", "surrogatepass") + b"\0".join(images)
    return "sha256:" + hashlib.sha256(whole).hexdigest()


def form_fields(kind: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the fields of a form, urlencoded or multipart, in their order."""
    if not kind.startswith("multipart/form-data"):
        for name, text in parse_qsl(body.decode("ascii"), keep_blank_values=True):
            yield name, text.encode()
        return
    boundary = kind.partition("boundary=")[2].partition(";")[0].strip('" ').encode()
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:-1]:
        described, _, value = part.partition(b"\r\n\r\n")
        if name := re.search(rb'[; ]name="([^"]*)"', described):
            yield name[1].decode(), value


def read_dynaspark(request: Recorded) -> None:
    """Fill in model, prompt and images from a Dynaspark form."""
    fields = list(form_fields(request.headers.get("content-type", ""), request.body))
    texts = dict(fields)
    request.prompt, request.model = texts["user_input"].decode(), texts["ai_model"].decode()
    request.images = [value for name, value in fields if name == "file"]


def read_openai(request: Recorded) -> None:
    """Fill in model, prompt and images from the JSON that asks for a chat completion."""
    asked = json.loads(request.body)
    content = [turn["content"] for turn in asked["messages"] if turn["role"] == "user"][-1]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    request.model = asked["model"]
    request.prompt = "".join(part["text"] for part in parts if part["type"] == "text")
    request.images = [base64.b64decode(u.partition(";base64,")[2], validate=True) for u in urls]


WIRES = {
    "/generate_response": ("dynaspark", read_dynaspark),
    "/v1/chat/completions": ("openai", read_openai),
}


def interpret(request: Recorded) -> int:
    """Read the request by its wire; return 0, or the error status that it deserves."""
    request.wire, read = WIRES.get(request.path.partition("?")[0], ("", None))
    if read is None or request.method != "POST":
        return 405 if read else 404
    try:
        read(request)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return 400
    return 0


def right_body(request: Recorded, text: str) -> bytes:
    """Build the whole body that carries an answer."""
    if request.wire != "openai":
        return json.dumps({"response": text}).encode()
    asked, told = len(request.prompt) // 4 + 85 * len(request.images) + 1, len(text) // 4 + 1
    usage = {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    made = {
        "id": f"chatcmpl-{request.number}",
        "object": "chat.completion",
        "created": int(time.time()),
    }
    made |= {"model": request.model, "choices": [choice], "usage": usage}
    return json.dumps(made).encode()


def error_body(request: Recorded, code: int) -> bytes:
    """Build the body of an error as the request's provider words it."""
    words = f"{code} {http.client.responses.get(code, 'Unknown')}"
    if request.wire == "dynaspark":
        return f"<html><title>{words}</title><h1>{words}</h1></html>".encode()
    kind = "server_error" if code >= 500 else "invalid_request_error"
    error = {"message": words, "type": kind, "param": None, "code": CODES.get(code)}
    return json.dumps({"error": error}).encode()
