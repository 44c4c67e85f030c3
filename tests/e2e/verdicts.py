#!/usr/bin/env python3
"""Compares what `pinfold verify --json` said of images with what was recorded.

  verdicts.py RECORDED NAME=REPORT…

A line of RECORDED: images (several with commas), check, verdict, what was found, `#` and why that is right. Images and findings are
patterns (`*`); a finding begins with where it is, `_` stands for its blanks. What is in no line must have passed; each finding must be
in its line; each line, image and pattern must be needed.
"""

import fnmatch, json, sys


def lines(path):
    for number, line in enumerate(open(path), 1):
        text, _, reason = line.partition(" # ")
        if line.startswith("#") or not line.strip():
            continue
        words = text.split()
        if len(words) < 3 or not reason.strip() or words[2] not in ("failed", "not-run"):
            sys.exit(f"{path}:{number}: it is no record")
        yield {
            "at": f"{path}:{number}", "images": words[0].split(","), "check": words[1], "verdict": words[2],
            "findings": words[3:], "used": set(),
        }


records = list(lines(sys.argv[1]))
wrong = []
for pair in sys.argv[2:]:
    name, report = pair.split("=", 1)
    report = json.load(open(report))
    if len({outcome["check"] for outcome in report["outcomes"]}) < 20:
        wrong.append(f"{name}: hardly anything was checked")
    for outcome in report["outcomes"]:
        check, verdict = outcome["check"], outcome["verdict"]
        if verdict == "passed":
            continue
        found = [f"{finding['at']}: {finding['problem']}".replace(" ", "_") for finding in outcome["findings"]]
        mine = [
            record for record in records
            if fnmatch.fnmatchcase(check, record["check"]) and any(fnmatch.fnmatchcase(name, image) for image in record["images"])
        ]
        if len(mine) != 1 or mine[0]["verdict"] != verdict:
            wrong.append(f"{name} {check}: {verdict}, which is not recorded: {'; '.join(found[:5] or [outcome['evidence']])}")
            continue
        record = mine[0]
        record["used"].update({"", *(image for image in record["images"] if fnmatch.fnmatchcase(name, image))})
        if outcome["more"] and not any(pattern.startswith("*") for pattern in record["findings"]):
            wrong.append(f"{name} {check}: more than could be told, and not all are of one kind")
        for one in found:
            patterns = [pattern for pattern in record["findings"] if fnmatch.fnmatchcase(one, pattern)]
            record["used"].update(patterns)
            if not patterns:
                wrong.append(f"{name} {check}: {one} is not recorded")
for record in records:
    for one in {"", *record["images"], *record["findings"]} - record["used"]:
        wrong.append(f"{record['at']}: {f'`{one}`' if one else 'it'} is needed by no image")
print("\n".join(wrong) or f"{len(sys.argv) - 2} images as recorded")
sys.exit(bool(wrong))
