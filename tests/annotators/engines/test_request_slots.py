"""Places at a server: bounded over threads, the urgent first, none lost to those who give up."""

import asyncio
import random
import threading

from refsav.annotators.engines.request_slots import Slots, slots_of


def test_event_loops_of_several_threads_share_the_places() -> None:
    slots, inside, peak, lock = Slots(3), [0], [0], threading.Lock()

    async def use(number: int) -> None:
        async with slots.slot((number % 2,)):
            with lock:
                inside[0] += 1
                peak[0] = max(peak[0], inside[0])
            await asyncio.sleep(0.001)
            with lock:
                inside[0] -= 1

    async def many() -> None:
        await asyncio.gather(*(use(number) for number in range(50)))

    threads = [threading.Thread(target=asyncio.run, args=(many(),), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [thread.is_alive() for thread in threads] == [False] * 4
    assert peak == [3]


def test_the_urgent_go_first_and_equals_in_their_order() -> None:
    slots, came = Slots(1), list[tuple[int, int]]()

    async def use(urgency: tuple[int, int]) -> None:
        async with slots.slot(urgency[:1]):
            came.append(urgency)
            await asyncio.sleep(0)

    async def all_at_once() -> None:
        async with slots.slot((0,)):
            waiting = [asyncio.ensure_future(use(urgency)) for urgency in [(2, 0), (1, 0), (2, 1), (0, 0), (1, 1)]]
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)

    asyncio.run(all_at_once())
    assert came == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_no_place_is_lost_to_those_who_give_up() -> None:
    slots = Slots(2)
    dice = random.Random(3)

    async def use() -> None:
        async with slots.slot((dice.randrange(3),)):
            await asyncio.sleep(0)

    async def give_up_at_random() -> None:
        tasks = [asyncio.ensure_future(use()) for _ in range(300)]
        while not all(task.done() for task in tasks):
            dice.choice(tasks).cancel()
            await asyncio.sleep(0)

    async def take_both() -> None:
        async with asyncio.timeout(5), slots.slot((0,)), slots.slot((0,)):
            pass

    asyncio.run(give_up_at_random())
    asyncio.run(take_both())


def test_a_server_has_the_same_places_for_everyone_who_counts_alike() -> None:
    assert slots_of("http://a/v1", 4) is slots_of("http://a/v1", 4)
    assert slots_of("http://a/v1", 4) is not slots_of("http://b/v1", 4)
