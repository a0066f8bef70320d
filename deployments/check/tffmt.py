"""What `terraform fmt` would change, as far as it can be seen without it: indentation, the alignment of `=`."""

import re

from known import ROOT, complain, finish

ATTRIBUTE = re.compile(r'^( *)("?[\w-]+"?)( +)= (.*)$')


def check_group(where, group):
    """Attributes on lines that follow each other have their `=` below each other."""
    column = max(len(name) for _, name, _ in group) + 1
    for line, name, gap in group:
        if len(name) + len(gap) != column:
            complain(f"{where}:{line}", "its `=` is not below the others'")


for file in sorted((ROOT / "deployments/terraform").rglob("*.tf")):
    where, group, before = file.relative_to(ROOT), [], None
    for number, line in enumerate(file.read_text().splitlines() + [""], 1):
        if line != line.rstrip() or "\t" in line:
            complain(f"{where}:{number}", "a tab, or spaces at its end")
        if (len(line) - len(line.lstrip())) % 2:
            complain(f"{where}:{number}", "an odd indentation")
        match = ATTRIBUTE.match(line)
        if group and (not match or match[1] != before):
            check_group(where, group)
            group = []
        if match:
            before = match[1]
            group.append((number, match[2], match[3]))
            # a value of several lines ends the group that it is in, and is not part of it
            if re.search(r"[\[({]$", match[4]):
                last = group.pop()
                if group:
                    check_group(where, group)
                    group = []
                elif len(last[2]) != 1:
                    complain(f"{where}:{number}", "more than one space before its `=`")
finish()
