"""hatasmota judges what Tasmota profiles say over MQTT."""

import asyncio

import aiomqtt
from hatasmota import discovery, mqtt

import plugs

PROFILES = ("tasmota-9.3", "tasmota-9.5", "tasmota-12.4", "tasmota-13.4", "tasmota-14.4")


class Client:
    """hatasmota's idea of an MQTT client, over aiomqtt."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.topics: list[dict] = []
        self.tasmota = mqtt.TasmotaMQTTClient(self._publish, self._subscribe, self._unsubscribe)

    async def _publish(self, topic, payload, qos, retain):
        await self.client.publish(topic, payload, qos=qos or 0, retain=bool(retain))

    async def _subscribe(self, sub_state, topics):
        # What was subscribed stays so: to ask anew would bring what is retained anew, without end.
        known = {entry["topic"] for entry in (sub_state or {}).values()}
        await self._unsubscribe(sub_state)
        self.topics.extend(topics.values())
        for entry in topics.values():
            if entry["topic"] not in known:
                await self.client.subscribe(entry["topic"])
        return topics

    async def _unsubscribe(self, sub_state):
        for entry in (sub_state or {}).values():
            self.topics = [known for known in self.topics if known is not entry]
        return {}

    async def run(self) -> None:
        async for message in self.client.messages:
            told = mqtt.ReceiveMessage(
                str(message.topic), message.payload.decode(), message.qos, message.retain
            )
            for entry in list(self.topics):
                if aiomqtt.Topic(told.topic).matches(entry["topic"]):
                    outcome = entry["msg_callback"](told)
                    if asyncio.iscoroutine(outcome):
                        await outcome


async def judge(program: str):
    for profile in PROFILES:
        async with plugs.broker() as port:
            arguments = ("--profile", profile, "--relays", "2", "--mqtt", f"127.0.0.1:{port}")
            async with plugs.plug(program, *arguments) as told:
                async with aiomqtt.Client("127.0.0.1", port) as client:
                    wrapped = Client(client)
                    listening = asyncio.create_task(wrapped.run())
                    try:
                        async for sentence in judge_one(wrapped, told, profile):
                            yield f"{profile}: {sentence}"
                    except AssertionError:
                        if listening.done():
                            # What it choked on says more.
                            listening.result()
                        raise
                    finally:
                        listening.cancel()


async def judge_one(client: Client, told: dict, profile: str):
    configs, sensors = plugs.Seen(), plugs.Seen()

    async def discovered(payload, mac):
        configs((payload, mac))

    async def sensed(found, mac):
        sensors((found, mac))

    await discovery.TasmotaDiscovery("tasmota/discovery", client.tasmota).start_discovery(
        discovered, sensed
    )
    await configs.until(lambda it: it[1] == told["mac"], "its announcement")
    config = configs.values[-1][0]
    device = discovery.get_device_config(config)
    assert device["sw"].startswith(profile.removeprefix("tasmota-")), device
    yield "its announcement, name, address and version"
    for platform in ("binary_sensor", "cover", "fan", "light", "sensor", "switch"):
        discovery.get_entities_for_platform(config, platform)
    assert discovery.has_entities_with_platform(config, "switch")
    assert not discovery.has_entities_with_platform(config, "light")
    discovery.get_triggers(config)
    yield "two relays, and nothing that is none"

    entities = discovery.get_entities_for_platform(config, "switch")
    relays = [entity for entity, _ in entities if entity is not None]
    assert len(relays) == 2, relays
    relay = discovery.get_entity(relays[1], client.tasmota)
    states, availability = plugs.Seen(), plugs.Seen()
    relay.set_on_state_callback(states)
    relay.set_on_availability_callback(availability.later)
    await relay.subscribe_topics()
    await availability.until(lambda it: it is True, "Online")
    await states.until(lambda it: it is False, "off")
    yield "it is online, and off"
    await relay.set_state(True)
    await states.until(lambda it: it is True, "on")
    assert [it["on"] for it in (await plugs.state(told))["relays"]] == [False, True]
    yield "it switches, and says so"
    states.values.clear()
    await plugs.control(told, "/button", {"relay": 2})
    await states.until(lambda it: it is False, "off by the button")
    yield "a thumb on the button is told"

    await sensors.until(lambda it: it[1] == told["mac"] and it[0], "its sensors")
    found = {entity.unique_id: entity for entity, _ in sensors.values[-1][0] if entity is not None}
    energy = {name: entity for name, entity in found.items() if "ENERGY" in name}
    for wanted in ("Power_0", "Power_1", "Total", "Voltage"):
        assert any(name.endswith(f"ENERGY_{wanted}") for name in energy), energy.keys()
    yield "its meter's figures, a channel each"
    await relay.set_state(True)
    watts = next(entity for name, entity in energy.items() if name.endswith("Power_1"))
    meter = discovery.get_entity(watts, client.tasmota)
    figures = plugs.Seen()
    meter.set_on_state_callback(figures)
    await meter.subscribe_topics()
    await plugs.control(told, "/load", {"relay": 2, "watts": 85})
    await meter.poll_status()
    await figures.until(lambda it: it == 85, "85 W")
    yield "watts, when it is asked for them"

    for name, entity in found.items():
        if "status_sensor" not in name:
            continue
        sensor = discovery.get_entity(entity, client.tasmota)
        values = plugs.Seen()
        sensor.set_on_state_callback(values)
        await sensor.subscribe_topics()
        await sensor.poll_status()
        await values.until(lambda it: it is not None, name)
    yield "every figure of its status"

    told["kill"]()
    await availability.until(lambda it: it is False, "Offline")
    yield "it is gone without a word, and the broker says so"
