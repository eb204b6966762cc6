"""aioshelly judges both generations of Shelly."""

import ipaddress
import time

import aiohttp
from aioshelly.block_device import COAP, BlockDevice
from aioshelly.common import ConnectionOptions, get_info
from aioshelly.exceptions import InvalidAuthError, RpcCallError
from aioshelly.rpc_device import RpcDevice, RpcUpdateType

import plugs

# The world asks a first generation on these ports and no others.
ADDRESS = "127.0.0.2"
GEN1 = ("--profile", "shelly-gen1", "--listen", f"{ADDRESS}:80", "--coiot", f"{ADDRESS}:5683")


async def judge_gen1(program: str):
    async with plugs.plug(program, *GEN1, "--password", "word") as told:
        async with aiohttp.ClientSession() as session:
            async for sentence in judge_block(session, told):
                yield f"shelly-gen1: {sentence}"


async def judge_block(session: aiohttp.ClientSession, told: dict):
    info = await get_info(session, ADDRESS, told["mac"])
    assert info["auth"] and info["type"] == "SHPLG-S", info
    yield "who it is, without a password"
    coap = COAP()
    await coap.initialize(0, [ipaddress.IPv4Address("127.0.0.1")])
    options = ConnectionOptions(ADDRESS, "admin", "word")
    device = await BlockDevice.create(session, coap, options)
    await device.initialize()
    assert device.firmware_supported and device.model == "SHPLG-S"
    assert device.name.startswith("shellyplug-s-") and device.hostname == device.name
    yield "settings, status, description and state, the last over CoAP"
    relay = next(block for block in device.blocks if block.type == "relay")
    assert (relay.output, relay.power, relay.overpower) == (0, 0, 0), relay.current_values()
    told_by_http = await relay.set_state(turn="on", timer=60)
    assert told_by_http["ison"] and told_by_http["has_timer"], told_by_http
    assert 58 <= told_by_http["timer_remaining"] <= 60, told_by_http
    await device.update()
    assert (relay.output, relay.power) == (1, 60), relay.current_values()
    assert relay.info("energy")["U"] == "Wmin"
    yield "it switches on with a timer, and shows watts"
    await device.update_status()
    assert device.status["relays"][0]["ison"] and device.status["meters"][0]["power"] == 60
    await relay.toggle()
    await device.update()
    assert relay.output == 0
    yield "and off again"
    await device.shutdown()
    wrong = ConnectionOptions(ADDRESS, "admin", "worD")
    device = await BlockDevice.create(session, coap, wrong)
    try:
        await device.initialize()
    except InvalidAuthError:
        yield "a wrong password is refused"
    else:
        raise AssertionError("a wrong password was taken")
    await device.shutdown()
    coap.close()


async def judge_gen2(program: str):
    for profile in ("shelly-gen2-1.7", "shelly-gen2-2.0"):
        for password in (None, "word"):
            arguments = ("--profile", profile) + (("--password", password) if password else ())
            async with plugs.plug(program, *arguments) as told:
                async with aiohttp.ClientSession() as session:
                    async for sentence in judge_rpc(session, told, profile, password):
                        yield f"{profile}{' with a password' if password else ''}: {sentence}"


async def judge_rpc(session, told: dict, profile: str, password: str | None):
    port = int(told["url"].rsplit(":", 1)[1])

    def options(word: str | None) -> ConnectionOptions:
        user = "admin" if word else None
        return ConnectionOptions("127.0.0.1", user, word, device_mac=told["mac"], port=port)

    device = await RpcDevice.create(session, None, options(password))
    await device.initialize()
    assert device.requires_auth == bool(password) and device.firmware_supported
    assert device.version.startswith(profile.removeprefix("shelly-gen2-")), device.version
    assert device.config["switch:0"]["initial_state"] == "off"
    assert device.status["switch:0"]["output"] is False
    assert abs(device.status["sys"]["unixtime"] - time.time()) < 5
    yield "identity, configuration, status and components, over WebSocket"

    updates = plugs.Seen()
    device.subscribe_updates(lambda _device, kind: updates(kind))
    was = await device.call_rpc("Switch.Set", {"id": 0, "on": True, "toggle_after": 60})
    assert was == {"was_on": False}, was
    await updates.until(lambda it: it is RpcUpdateType.STATUS, "a status by itself")
    assert device.status["switch:0"]["output"] is True
    yield "it switches, and tells so by itself"
    status = await device.call_rpc("Switch.GetStatus", {"id": 0})
    assert status["timer_duration"] == 60 and status["apower"] == 60, status
    assert abs(status["timer_started_at"] - time.time()) < 5, status
    assert "Switch.Set" in await device.methods_list()
    yield "its timer and its watts"
    try:
        await device.call_rpc("Switch.Joy")
    except RpcCallError as error:
        assert error.code == 404, error
        yield "an unknown method is refused with 404"
    if password and profile.endswith("2.0"):
        await plugs.control(told, "/logins", {})
        try:
            await device.call_rpc("Switch.GetStatus", {"id": 0})
        except RpcCallError as error:
            assert error.code == 429, error
            yield "a nonce that was pushed out is refused with 429"
        else:
            raise AssertionError("a dead nonce was taken")
    updates.values.clear()
    await plugs.control(told, "/restart", {"kind": "cold"})
    await updates.until(lambda it: it is RpcUpdateType.DISCONNECTED, "the end of the connection")
    await device.initialize()
    assert device.status["switch:0"]["output"] is False
    assert "timer_duration" not in device.status["switch:0"]
    yield "after the mains were gone it is off, and has no timer"
    await device.shutdown()
    if password:
        device = await RpcDevice.create(session, None, options("worD"))
        try:
            await device.initialize()
        except InvalidAuthError:
            yield "a wrong password is refused"
        else:
            raise AssertionError("a wrong password was taken")
        await device.shutdown()
