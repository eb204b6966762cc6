"""Runs every judge against plug-sim and tells what was accepted. The first refusal ends it with 1."""

import asyncio
import sys

import shellies
import tasmotas


async def main(program: str) -> None:
    accepted = 0
    for judge in (tasmotas.judge, shellies.judge_gen1, shellies.judge_gen2):
        async for sentence in judge(program):
            print(f"accepted: {sentence}", flush=True)
            accepted += 1
    print(f"FIGURE\tjudges\tsentences accepted by hatasmota and aioshelly\t{accepted}")


asyncio.run(main(sys.argv[1]))
