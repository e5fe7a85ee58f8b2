#!/usr/bin/env python3
"""Makes description.json.gz out of an unofficial description of Stripe's API.

    reduce.py DERIVED FIXTURES > description.json.gz

DERIVED holds the operations, parameters and objects read out of the type annotations of the PyPI package
`stripe` 16.1.0; FIXTURES is the sample file of the vendor's own mock server (GitHub `stripe/openapi`,
`fixtures3.json`). Both are under the MIT licence, see LICENSE. Only `/v1/` is kept. Equal shapes are kept once.

Shapes: "s" text, "i" integer, "b" true or false, "n" number, "*" anything, {"e": place in enums}, {"a": shape} list,
{"m": shape} map, {"l": shape} list object, {"r": place in shapes}, {"u": [shape]} one of, {"x": [object]} an id that
`expand` turns into the object, {"c": shape} may be cleared (parameters) or null (answers).
"""

import gzip
import json
import sys

derived, samples = (json.load(open(name)) for name in sys.argv[1:3])
samples = samples["resources"]
enums, shapes, places = [], [], {}


def kept(table, value):
    text = json.dumps(value, sort_keys=True)
    key = (id(table), text)
    if key not in places:
        places[key] = len(table)
        table.append(value)
    return places[key]


class Side:
    """Parameters or objects."""

    def __init__(self, types):
        self.types, self.done = types, {}

    def named(self, name):
        if name not in self.types:
            return "*"
        if name not in self.done:
            if self.types[name].get("object") and self is objects:
                return {"r": name}
            self.done[name] = None
            properties = self.types[name].get("properties", {})
            value = {"p": {key: self.shape(prop) for key, prop in properties.items()}}
            if self.types[name].get("required"):
                value["q"] = self.types[name]["required"]
            self.done[name] = {"r": kept(shapes, value)}
        # A shape that holds itself is not looked into a second time.
        return self.done[name] or "*"

    def shape(self, prop):
        inner = self.bare(prop)
        return {"c": inner} if prop.get("clearable") or prop.get("nullable") else inner

    def bare(self, prop):
        if "expands_to" in prop and prop.get("type") == "string":
            targets = prop["expands_to"]
            return {"x": targets if isinstance(targets, list) else [targets]}
        if "$ref" in prop:
            return self.named(prop["$ref"])
        if "enum" in prop:
            return {"e": kept(enums, prop["enum"])}
        if "any_of" in prop:
            # "One of these, or text" is how the package leaves room for later values; the vendor takes only its own.
            parts = [part for part in prop["any_of"]]
            if any("enum" in part for part in parts):
                parts = [part for part in parts if part.get("type") != "string"]
            inner = [self.bare(part) for part in parts]
            return inner[0] if len(inner) == 1 else {"u": inner}
        kind = prop.get("type")
        if kind in ("array", "map", "list"):
            return {kind[0]: self.shape(prop.get("items", {}))}
        return {"string": "s", "decimal_string": "s", "integer": "i", "boolean": "b", "number": "n"}.get(kind, "*")


def plain(prop):
    return "enum" in prop or "any_of" in prop or prop.get("type") in ("string", "integer", "boolean", "number")


def blank(name, sample, depth=0):
    """What an object looks like before anything is known of it."""
    answer = {}
    for key, prop in objects.types[name]["properties"].items():
        seen = sample.get(key) if isinstance(sample, dict) else None
        if key == "deleted" or (prop.get("type") == "list" and prop.get("nullable")):
            continue
        if key == "metadata":
            answer[key] = {}
        elif prop.get("nullable"):
            if "$ref" in prop and isinstance(sample, dict) and key not in sample:
                continue
            listed = "enum" in prop or any("enum" in part for part in prop.get("any_of", []))
            empty = seen is False or seen == [] or (seen == 0 and prop.get("type") == "integer")
            answer[key] = seen if empty or (listed and isinstance(seen, str)) else None
        elif "$ref" in prop and prop["$ref"] in objects.types and depth < 4:
            answer[key] = blank(prop["$ref"], seen or {}, depth + 1)
        elif prop.get("type") == "list":
            answer[key] = {"object": "list", "data": [], "has_more": False, "url": ""}
        elif prop.get("type") == "array":
            answer[key] = []
        elif prop.get("type") in ("map", "any") or "$ref" in prop:
            answer[key] = {}
        elif "enum" in prop or "any_of" in prop:
            values = prop.get("enum") or next((part["enum"] for part in prop["any_of"] if "enum" in part), [""])
            answer[key] = seen if seen in values else values[0]
        else:
            empty = {"integer": 0, "boolean": False, "number": 0}.get(prop.get("type"), "")
            answer[key] = seen if isinstance(seen, bool) else empty
    return answer


params, objects = Side(derived["params"]), None
operations = []
for op in derived["operations"]:
    if op["path"].startswith("/v1/"):
        operations.append([op["verb"], op["path"], op["op"], params.named(op["params"]), op["returns"]])
objects = Side({name: value for name, value in derived["objects"].items() if not name.startswith("v2.")})
kinds = {}
for name, value in objects.types.items():
    if value.get("object"):
        properties = {key: objects.shape(prop) for key, prop in value["properties"].items()}
        kinds[name] = {
            "object": value["object"],
            "shape": kept(shapes, {"p": properties}),
            "blank": blank(name, samples.get(value["object"])),
        }
versions = next(enum for enum in enums if derived["api_version"] in enum)
description = {
    "version": derived["api_version"],
    "versions": versions,
    "events": derived["event_types"],
    "enums": enums,
    "shapes": shapes,
    "kinds": kinds,
    "operations": operations,
}
text = json.dumps(description, separators=(",", ":")).encode()
sys.stdout.buffer.write(gzip.compress(text, 9, mtime=0))
