#!/usr/bin/env python3
"""Writes jargon.txt from the text of Debian's package jargon-text (4.4.7).

    apt-get download jargon-text && dpkg -x jargon-text_*.deb .
    python3 export_jargon.py usr/share/doc/jargon-text/jargon.txt.gz
"""

import gzip
import pathlib
import re
import sys

# lines of the original: essays, folklore and portrait, then the lexicon from its first entry on
PARTS = [(275, 465), (801, 2060), (40101, 41384), (6793, 11500)]
BYTES = 290_000
PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "´": "'", "—": "-", "−": "-", "\u00a0": " ", "×": "x", "•": "*"})


def paragraphs(lines):
    """Lines that belong together as one; drawings and tables are left out."""
    for block in re.split(r"\n\s*\n", "\n".join(lines)):
        text = " ".join(block.split())
        if text and text.isascii() and not re.search(r"[-=_+|]{4}|\s\|\s", text):
            yield text


def main():
    lines = gzip.open(sys.argv[1], "rt", encoding="utf-8").read().translate(PLAIN).split("\n")
    chosen = [line for first, last in PARTS for line in lines[first - 1 : last]]
    text = "\n".join(paragraphs(chosen)) + "\n"
    text = text[: text.rindex("\n", 0, BYTES) + 1] if len(text) > BYTES else text
    pathlib.Path(__file__).with_name("jargon.txt").write_text(text, encoding="ascii")
    print(len(text), "bytes,", len(set(text)), "different characters")


if __name__ == "__main__":
    main()
