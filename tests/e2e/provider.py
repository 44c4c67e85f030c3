#!/usr/bin/env python3
"""A stand-in for the three providers, over TLS on loopback: it asks the agent for one shell command, then ends the turn. An agent
without a shell that has a tool `write_file` is asked to write the task's words to `made-by-worker`.

Usage: provider.py DIRECTORY KEY COMMAND [ADDRESS PORT]
DIRECTORY gets `port` once it listens, and `seen`: one line a request, `METHOD PATH key|placeholder|none`. The certificate
and key of the server are DIRECTORY/cert.pem and DIRECTORY/key.pem. The wire formats are those that the providers document:
Anthropic Messages (SSE), OpenAI Responses (SSE), Gemini streamGenerateContent (SSE).
"""
import http.server
import json
import os
import ssl
import sys

directory, key, command = sys.argv[1:4]
seen = open(os.path.join(directory, "seen"), "a", buffering=1)


def written(text):
    """What the tool `write_file` of a sealed worker is asked for."""
    return {"path": "/workspace/made-by-worker", "content": f"made {text}\n"}


def text_of(content):
    """The words of a message, in whatever form they come."""
    parts = [content] if isinstance(content, (str, dict)) else content or []
    return " ".join(part if isinstance(part, str) else str(part.get("text") or "") for part in parts).strip()


def anthropic(body):
    """A tool call unless one was answered already."""
    tools = [tool.get("name") for tool in body.get("tools") or []]
    # A worker's history goes on: what counts is what the last message is.
    last = (body.get("messages") or [{}])[-1]
    answered = any(
        isinstance(message.get("content"), list) and any(part.get("type") == "tool_result" for part in message["content"])
        for message in ([last] if "write_file" in tools else body.get("messages", []))
    )
    shell = next((name for name in tools if name and name.lower() == "bash"), None)
    arguments = {"command": command, "description": "work"}
    if shell is None and "write_file" in tools:
        shell, arguments = "write_file", written(text_of(last.get("content")))
    call = shell is not None and not answered
    yield "message_start", {"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": body.get("model", "m"), "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}}
    if call:
        yield "content_block_start", {"type": "content_block_start", "index": 0, "content_block": {
            "type": "tool_use", "id": "toolu_1", "name": shell, "input": {}}}
        yield "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {
            "type": "input_json_delta", "partial_json": json.dumps(arguments)}}
    else:
        yield "content_block_start", {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        yield "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {
            "type": "text_delta", "text": "the work is done"}}
    yield "content_block_stop", {"type": "content_block_stop", "index": 0}
    yield "message_delta", {"type": "message_delta", "delta": {
        "stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 1}}
    yield "message_stop", {"type": "message_stop"}


def openai_tools(tools):
    """Names of the tools offered, those in namespaces among them."""
    for tool in tools or []:
        yield tool.get("name")
        yield from openai_tools(tool.get("tools"))


def openai(body):
    items = [item for item in body.get("input", []) if isinstance(item, dict)]
    offered = set(openai_tools(body.get("tools"))) | {name for item in items for name in openai_tools(item.get("tools"))}
    judged = items[-1:] if "write_file" in offered else items
    answered = any(str(item.get("type")).endswith("_call_output") for item in judged)
    known = ("exec", "exec_command", "shell_command", "shell", "bash", "write_file")
    shell = next((name for name in known if name in offered), None)
    yield "response.created", {"type": "response.created", "response": {"id": "resp_1"}}
    if shell == "exec" and not answered:
        # Code mode: the tool takes JavaScript, which calls the others.
        item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": shell, "status": "completed",
                "input": f"text(JSON.stringify(await tools.exec_command({json.dumps({'cmd': command})})))"}
    elif shell and not answered:
        arguments = {"exec_command": {"cmd": command}, "shell_command": {"command": command},
                     "shell": {"command": ["bash", "-lc", command]},
                     "bash": {"command": command, "description": "work"},
                     "write_file": written(text_of(items[-1].get("content")) if items else "")}[shell]
        item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": shell,
                "arguments": json.dumps(arguments), "status": "completed"}
    else:
        item = {"type": "message", "id": "item_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "the work is done", "annotations": []}]}
    yield "response.output_item.added", {"type": "response.output_item.added", "output_index": 0, "item": item}
    yield "response.output_item.done", {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield "response.completed", {"type": "response.completed", "response": {
        "id": "resp_1", "object": "response", "status": "completed", "output": [item],
        "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1,
                  "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2}}}


def gemini(body):
    contents = body.get("contents", [])
    declared = [function["name"] for tool in body.get("tools") or [] for function in tool.get("functionDeclarations", [])]
    judged = contents[-1:] if "write_file" in declared else contents
    answered = any("functionResponse" in part for content in judged for part in content.get("parts", []))
    if "run_shell_command" in declared and not answered:
        part = {"functionCall": {"name": "run_shell_command", "args": {"command": command, "description": "work"}}}
    elif "write_file" in declared and "run_shell_command" not in declared and not answered:
        part = {"functionCall": {"name": "write_file", "args": written(text_of(contents[-1]["parts"]))}}
    else:
        part = {"text": "the work is done"}
    return {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
            "modelVersion": "m"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self):
        values = " ".join(self.headers.values())
        kind = "key" if key in values else "placeholder" if "placeholder" in values + self.path else "none"
        seen.write(f"{self.command} {self.path.split('?')[0]} {kind}\n")

    def answer(self, body, kind="application/json", status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        # The provider gives the key back on purpose: the route must not let it in.
        self.send_header("X-Echo", key)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, events):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for name, data in events:
            text = (f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n"
            raw = text.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def do_GET(self):
        self.note()
        self.answer(b'{"data":[],"models":[]}')

    do_HEAD = do_GET

    def do_POST(self):
        self.note()
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            return self.answer(b'{"error":"no JSON"}', status=400)
        path = self.path.split("?")[0]
        if path.endswith("/messages"):
            if body.get("stream"):
                return self.stream(anthropic(body))
            text = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
                    "stop_sequence": None, "content": [{"type": "text", "text": "ok"}],
                    "usage": {"input_tokens": 1, "output_tokens": 1}}
            return self.answer(json.dumps(text).encode())
        if path.endswith("/count_tokens"):
            return self.answer(b'{"input_tokens":1}')
        if path.endswith("/responses"):
            return self.stream(openai(body))
        if ":streamGenerateContent" in path:
            return self.stream([(None, gemini(body))])
        if ":generateContent" in path:
            # The router asks for a judgement as JSON.
            verdict = gemini({})
            verdict["candidates"][0]["content"]["parts"] = [{"text": '{"complexity_reasoning":"x","complexity_score":1}'}]
            return self.answer(json.dumps(verdict).encode())
        self.answer(b"{}")


address, port = sys.argv[4:6] or ("127.0.0.1", 0)
server = http.server.ThreadingHTTPServer((address, int(port)), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem"))
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(os.path.join(directory, "port.part"), "w") as file:
    file.write(str(server.server_address[1]))
os.rename(os.path.join(directory, "port.part"), os.path.join(directory, "port"))
server.serve_forever()
