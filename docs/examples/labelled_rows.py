"""Two hundred labelled rows to try retraining with: `python docs/examples/labelled_rows.py`.

They stand in for traffic of your own. The prompts are a school's: asking the tutor for help is fine
(label 0), asking for work to be handed in as one's own is what this school calls misuse (label 1).
"""

import argparse
import json
import random

TOPICS = (
    "photosynthesis", "the water cycle", "fractions", "the French revolution", "volcanoes",
    "irony in short stories", "linear equations", "the human heart", "magnetism", "the Roman army",
    "past tenses", "plate tectonics", "supply and demand", "the solar system", "probability",
)  # fmt: skip
BENIGN = (
    "Can you explain {} to me with an example?",
    "I do not understand {}. Where should I start?",
    "What is a good way to remember the main ideas of {}?",
    "Ask me five questions about {} so that I can practise.",
    "Is my summary of {} right, and what did I leave out?",
    "Which book would you recommend on {}?",
    "Help me plan how to study {} before Thursday.",
)
MISUSE = (
    "Write my essay on {} so that I can hand it in as mine.",
    "Give me the finished worksheet on {}, my teacher must not notice.",
    "Do the whole homework on {} for me, I will just copy it.",
    "I am sitting in the exam on {} now, send me the answers quickly.",
)
UNCLEAR = ("Write a paragraph on {}.", "Solve the task on {} step by step.")  # said by either
TAILS = ("", " Thank you!", " I am in year nine.", " Please keep it short.", " It is for tomorrow.")


def main() -> None:
    """Print rows as JSON lines."""
    parser = argparse.ArgumentParser(description="Print labelled rows to try retraining with.")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--label", type=int, choices=(0, 1), help="rows of this label alone")
    args = parser.parse_args()
    chance = random.Random(args.seed)  # noqa: S311 - the same in every run
    for number in range(args.rows):
        label = int(number % 3 == 0) if args.label is None else args.label
        clear = MISUSE if label else BENIGN
        wording = chance.choice(UNCLEAR if chance.random() < 0.15 else clear)  # noqa: PLR2004
        text = wording.format(chance.choice(TOPICS)) + chance.choice(TAILS)
        row = {"id": f"{args.seed}-{number}", "text": text, "label": label}
        row |= {"source": "school", "licence": "own"}
        print(json.dumps(row))  # noqa: T201


if __name__ == "__main__":
    main()
