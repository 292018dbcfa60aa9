#!/usr/bin/env python3
"""Takes the Llama vocabulary (32,000 pieces, which Moonshine's decoder speaks) out of llama-tokenizer-js: one a line.

A piece's number is its line; "▁" stands for a space and <0xHH> for a byte.
"""
import base64
import re
import sys

PIECES = 32000

if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        found = re.search(r'llama_vocab_base64 = "([A-Za-z0-9+/=]+)"', file.read())
    if not found:
        sys.exit("llama_vocabulary: the tokenizer holds no vocabulary where it used to")
    text = base64.b64decode(found.group(1)).decode("utf-8")
    pieces = text.split("\n")
    if len(pieces) != PIECES:
        sys.exit(f"llama_vocabulary: {len(pieces)} pieces, not {PIECES}")
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write("\n".join(pieces) + "\n")
