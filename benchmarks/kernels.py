"""Kernels beside their floors and their peers, on one core, on all, and on a GPU if there is one.

A kernel has two floors, both measured in the same run: the time to copy as many bytes as it has to read and write at
the least, each input and output once, and the time that a float32 matrix product takes for as many operations as its
equations need. Contenders take turns.
"""

from __future__ import annotations

from itertools import islice

from kernel_cases import crops, flow, frames, matching, warping
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
    "resized_crop": crops.FAMILIES,
}
_QUICK_CASES = 2
_SWEEPS = 3  # times that everything is gone through, so that a while of other work on the machine spoils no row


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("only", nargs="*", metavar="FAMILY", help=f"of {', '.join(FAMILIES)} [all]")
    parser.add_argument("--rounds", type=int, help="rounds, of which least and median are shown [24; quick: 3]")
    options = parser.parse_args()
    unknown = set(options.only) - FAMILIES.keys()
    if unknown:
        parser.error(f"there is no family {', '.join(sorted(unknown))}: choose from {', '.join(FAMILIES)}")
    rounds = options.rounds or (3 if options.quick else 24)
    sweeps = min(rounds, 1 if options.quick else _SWEEPS)
    gpu = count_gpus()[0] > 0
    body = [
        f"Least (median) of {rounds} rounds of vidprep, in {sweeps} sweeps through all rows; the least of the others, "
        "of fewer rounds where they are slow, and how many times that is vidprep's. *copy*: a copy of half the bytes "
        "that are read and written, on as many threads. *product*: the operations at the rate of NumPy's float32 "
        "matrix product of 2048x2048, on as many threads. *of floor*: the larger of both over vidprep's least.\n"
    ]
    chosen = [family for name in options.only or FAMILIES for family in FAMILIES[name]]
    rows: dict[str, list[Row]] = {}
    for _ in range(sweeps):
        for family in chosen:
            found = _rows(family, -(-rounds // sweeps), gpu, _QUICK_CASES if options.quick else None)
            before = rows.get(family.title)
            rows[family.title] = [a.with_more(b) for a, b in zip(before, found, strict=True)] if before else found
    for family in chosen:
        body += [f"## {family.title}\n", f"Times in {family.unit}. {family.note}".strip()]
        body += ["", table(*format_rows(rows[family.title], family.per_second)), ""]
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
