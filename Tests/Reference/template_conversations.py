"""Conversations of every kind that templates know, for chat_templates.py: name -> what
`apply_chat_template` is called with."""

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Get the weather — Wetter, 天気 <now>",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "A city"},
            "unit": {"type": "string", "enum": ["c", "f"]},
            "days": {"type": "integer", "default": 3},
            "opts": {"type": "array", "items": {"type": "string"}},
            "nested": {"type": "object", "properties": {
                "a": {"type": ["string", "null"]},
                "b": {"anyOf": [{"type": "number"}, {"type": "boolean"}]}}, "required": ["a"]}},
            "required": ["city"]},
        "return": {"type": "string"}}},
    {"type": "function", "function": {
        "name": "noop", "description": "", "parameters": {"type": "object", "properties": {}}}},
]
DOCUMENTS = [{"title": "Doc A", "text": "Text of A, which is longer than a line", "doc_id": 1},
             {"title": "B", "text": "Zwei — 二"}]
SYSTEM = {"role": "system", "content": "You are terse.\n\nBe kind."}


def user(text):
    return {"role": "user", "content": text}


def said(text, **further):
    return {"role": "assistant", "content": text, **further}


def call(arguments, name="get_weather", id="abcdefghi"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(content, name="get_weather", id="abcdefghi"):
    return {"role": "tool", "name": name, "tool_call_id": id, "content": content}


def conversation(*messages, tools=None, documents=None, prompt=True, **variables):
    return dict(messages=list(messages), tools=tools, documents=documents, prompt=prompt,
                variables=variables)


THOUGHT = "<think>\nadd\n</think>\n\n4"
CONVERSATIONS = {
    "user": conversation(user("Hello")),
    "system": conversation(SYSTEM, user("Hello there "), said(" Hi! "), user("Bye")),
    "turns": conversation(user("one"), said("two"), user("three"), said("four"), user("five"),
                          said("six"), prompt=False),
    "thinking": conversation(SYSTEM, user("2+2?"), said(THOUGHT), user("and 3+3?"),
                             enable_thinking=True, thinking=True),
    "not thinking": conversation(SYSTEM, user("2+2?"), said(THOUGHT), user("and 3+3?"),
                                 enable_thinking=False, thinking=False, reasoning_effort="low"),
    "reasoning": conversation(user("2+2?"), said("4", reasoning_content="I add."), user("ok"),
                              said("done", thinking="hm"), prompt=False),
    "tools": conversation(
        SYSTEM, user("Weather in Köln?"),
        said("", tool_calls=[call({"city": "Köln", "days": 2, "opts": ["x", None, 1.5, True]})]),
        answer("{\"temp\": 3}"), said("It is 3°."), user("Thanks"), tools=TOOLS),
    "tools without system": conversation(
        user("Weather?"), said("", tool_calls=[call({"city": "P"})]), answer("rain"), tools=TOOLS),
    "arguments as text": conversation(
        user("Weather?"), said("", tool_calls=[call("{\"city\": \"P\"}")]),
        answer({"temp": 3, "ok": True}), tools=TOOLS),
    "tools not used": conversation(user("Weather?"), tools=TOOLS),
    "two calls": conversation(
        user("Weather?"),
        said("Let me see.", tool_calls=[call({"city": "A"}), call({}, "noop", "123456789")]),
        answer("r1"), answer("r2", "noop", "123456789"), said("ok"), tools=TOOLS, prompt=False),
    "no messages": conversation(),
    "empty texts": conversation({"role": "system", "content": ""}, user(""), said("")),
    "odd roles": conversation({"role": "narrator", "content": "Once"}, user("a"), user("b"),
                              said("c"), said("d"), {"role": "developer", "content": "dev"}),
    "unicode": conversation(
        user("日本語 🇩🇪👩‍👩‍👧 é é \u2028 \x1c \t <|im_end|> {{ x }} '\"\\"),
        said("ß ﬁ \r\n ok"), prompt=False),
    "documents": conversation(SYSTEM, user("What of A?"), documents=DOCUMENTS),
    "documents and tools": conversation(user("What of A?"), documents=DOCUMENTS, tools=TOOLS),
    "parts": conversation(
        {"role": "system", "content": [{"type": "text", "text": "Sys"}]},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image"},
                                     {"type": "text", "text": " here"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Yes"}]}, user("k")),
    "no content": conversation({"role": "user"}, {"role": "assistant"}),
    "null content": conversation(user("a"), said(None, tool_calls=None), user("b")),
    "system alone": conversation(SYSTEM),
    "assistant first": conversation(said("hi"), user("yo")),
    "empty tools": conversation(user("hi"), tools=[]),
    "many variables": conversation(
        {"role": "developer", "content": "Dev."}, user("hi"), tools=TOOLS,
        builtin_tools=["browser", "python"], model_identity="I am X", date_string="1 Jan 2025",
        custom_tools=TOOLS, tools_in_user_message=False),
    "unfinished": conversation(user("hi"), said("Sure, ", prefix=True), prompt=False),
}
