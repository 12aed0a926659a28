"""Kernels beside their floors and their peers, on one core, on all, and on a GPU if there is one.

A kernel has two floors, both measured in the same run: the time to copy as many bytes as it has to read and write at
the least, each input and output once, and the time that a float32 matrix product takes for as many operations as its
equations need. Contenders take turns.
"""

from __future__ import annotations

from itertools import islice

from kernel_cases import flow, frames, matching, warping
from kernel_cases.case import Family
from kernel_timing import Row, cpu_row, format_rows, gpu_row
from report import cores, option_parser, publish, table

from vidprep.pipeline.devices import count_gpus

FAMILIES = {
    "residual": frames.FAMILIES[:1],
    "yuv": frames.FAMILIES[1:],
    "matching": matching.FAMILIES,
    "warp": warping.FAMILIES,
    "flow": flow.FAMILIES,
}
_QUICK_CASES = 2


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("only", nargs="*", metavar="FAMILY", help=f"of {', '.join(FAMILIES)} [all]")
    parser.add_argument("--rounds", type=int, help="rounds, of which least and median are shown [25; quick: 3]")
    options = parser.parse_args()
    unknown = set(options.only) - FAMILIES.keys()
    if unknown:
        parser.error(f"there is no family {', '.join(sorted(unknown))}: choose from {', '.join(FAMILIES)}")
    rounds = options.rounds or (3 if options.quick else 25)
    gpu = count_gpus()[0] > 0
    body = [
        f"Least (median) of {rounds} rounds of vidprep; the least of the others and how many times that is vidprep's, "
        "of fewer rounds where they are slow. *copy*: a copy of half the bytes that are read and written, on as many "
        "threads. *product*: the operations at the rate of NumPy's float32 matrix product of 2048x2048, on as many "
        "threads. *of floor*: the larger of both over vidprep's least.\n"
    ]
    for name, families in FAMILIES.items():
        for family in families:
            if name in options.only or not options.only:
                rows = _rows(family, rounds, gpu, _QUICK_CASES if options.quick else None)
                body += [f"## {family.title}\n", f"Times in {family.unit}. {family.note}".strip()]
                body += ["", table(*format_rows(rows, family.per_second)), ""]
    publish("kernels", "Kernels beside floors and peers", "\n".join(body), write=options.write)


def _rows(family: Family, rounds: int, gpu: bool, most: int | None) -> list[Row]:
    rows = []
    for case in islice(family.cases(gpu), most):
        threads = sorted({1, cores()}) if family.threaded else [1]
        rows += [cpu_row(case, count, rounds, peers=count == threads[-1]) for count in threads]
        if case.gpu:
            rows.append(gpu_row(case, rounds))
    return rows


if __name__ == "__main__":
    main()
