"""A letter to print and sign by hand: head, addressee, date line, text, and a line for the signature."""

from collections.abc import Sequence
from dataclasses import dataclass

from reportlab.platypus import Flowable, HRFlowable, Paragraph, Spacer

from printing import styles
from printing import type as face
from printing.press import Running, lay_out


@dataclass(frozen=True)
class LetterToSign:
    """`scope` is a list that stands between the paragraphs `before` and `after`; `signatory` goes under the line."""

    sender: Sequence[str]
    addressee: Sequence[str]
    date: str
    subject: str
    before: Sequence[str]
    scope: Sequence[str]
    after: Sequence[str]
    signatory: str


def render_letter(letter: LetterToSign) -> bytes:
    """The PDF; the same letter gives the same bytes."""
    body = styles.reading().body

    def said(text: str) -> Paragraph:
        return Paragraph(face.markup(text, face.SERIF), body)

    story: list[Flowable] = [Paragraph(face.markup(line, face.SANS), styles.SMALL) for line in letter.sender]
    story += [
        Spacer(0, 26),
        *(said(line) for line in letter.addressee),
        Spacer(0, 14),
        said(letter.date),
        Spacer(0, 14),
    ]
    story += [Paragraph(face.markup(letter.subject, face.SERIF_BOLD), styles.reading().headings[2]), Spacer(0, 6)]
    story += [said(text) for text in letter.before]
    story += [said(f"\u2013 {line}") for line in letter.scope]
    story += [said(text) for text in letter.after]
    story += [Spacer(0, 54), HRFlowable(width="45%", thickness=0.6, color=styles.INK, hAlign="LEFT"), Spacer(0, 4)]
    story += [said(letter.signatory), said("Signature by hand")]
    return lay_out(story, Running("", letter.subject, letter.sender[0]), language="en")
