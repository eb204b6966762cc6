'use strict';
// Asks for status.json once a second while somebody looks, and counts down in between. Every text
// is set as text, so that no name can be anything else.

const ASK_MS = 1000, PATIENCE_MS = 4000, TICK_MS = 200, SOON_MS = 5 * 60000, DAY_MS = 86400000;
const $ = (id) => document.getElementById(id);
let report = null, seen = 0, asking = false;
let deadlines = new Map();

// ---- words -------------------------------------------------------------------------------------

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const shortClock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const dateClock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
const decimal = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

function at(ms, style = clock) {
  const date = new Date(ms);
  return (Math.abs(ms - nodeNow()) < DAY_MS / 2 ? style : dateClock).format(date);
}
function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000)), m = Math.floor(s / 60), h = Math.floor(m / 60);
  if (s < 60) return `${s} s`;
  return h ? h < 48 ? `${h} h ${m % 60} min` : `${Math.floor(h / 24)} days` : `${m} min`;
}
function countdown(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000)), two = (n) => String(n).padStart(2, '0');
  const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  return h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}
function size(bytes) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (bytes >= 1000 && unit < 4) { bytes /= 1000; unit += 1; }
  return `${decimal.format(bytes)} ${units[unit]}`;
}
const count = (n, one, many) => `${decimal.format(n)} ${n === 1 ? one : many}`;
const nodeNow = () => report.state.at_ms + performance.now() - seen;

const FAULT = {
  unreachable: 'does not answer', refused: 'refuses', stuck_on: 'is on and should be off',
  stuck_off: 'is off and should be on',
};
const PROOF = {
  accepted: 'it said yes', read_back: 'read back', lease_confirmed: 'read back, with its timer',
  watts_confirmed: 'read back, and measured',
};
const BY = {
  session: 'by its session', hold: 'by a hold', rest: 'as it rests', button: 'by its button',
  lease: 'by its own timer', local: 'from this machine', unknown: 'by an unknown hand',
};
const SLOWED = {
  under_voltage: 'power supply too weak', frequency_capped: 'frequency capped',
  throttled: 'slowed down', soft_temperature_limit: 'hot',
};
const ENDED = { expired: 'its time was over', ended: 'it was ended', abandoned: 'it was abandoned' };

const EVENT = {
  'command.rejected': (b) => `A command was rejected (${b.code}): ${b.message}`,
  'session.booked': (b) => `${b.station}: session ${b.session} booked for ${at(b.starts_at_ms)}`,
  'session.started': (b) => `${b.station}: session ${b.session} started, until ${at(b.ends_at_ms)}`,
  'session.extended': (b) => `${b.station}: session ${b.session} now ` +
    (b.ends_at_ms ? `until ${at(b.ends_at_ms)}` : 'of another length'),
  'session.warning': (b) => `${b.station}: ${span(b.remaining_ms)} left, customer warned`,
  'session.paused': (b) => `${b.station}: paused with ${span(b.remaining_ms)} left`,
  'session.resumed': (b) => `${b.station}: goes on` + (b.ends_at_ms ? ` until ${at(b.ends_at_ms)}` : ''),
  'session.transferred': (b) => `Session ${b.session} moved from ${b.from} to ${b.station}`,
  'session.ending': (b) => `${b.station}: session ${b.session} is over, power off at ${at(b.off_at_ms)}`,
  'session.ended': (b) => `${b.station}: off, ${ENDED[b.reason] ?? b.reason}; powered for ${span(b.powered_ms)}`,
  'session.failed': (b) => `${b.station}: session ${b.session} could not be powered: ${b.message}`,
  'session.refused': (b) => `${b.station}: session ${b.session} stays as it was: ${b.message}`,
  'outlet.changed': (b) => `${b.outlet} ${b.on ? 'on' : 'off'}, ${BY[b.by] ?? b.by}`,
  'outlet.fault': (b) => `${b.outlet} ${FAULT[b.fault] ?? b.fault}`,
  'outlet.recovered': (b) => `${b.outlet} is well again`,
  'task.retrying': (b) => `Task ${b.task} failed and is tried again: ${b.error ?? ''}`,
  'task.succeeded': (b) => `Task ${b.task} succeeded`,
  'task.failed': (b) => `Task ${b.task} failed: ${b.error ?? ''}`,
  'task.cancelled': (b) => `Task ${b.task} cancelled`,
  'node.started': (b) => `The agent started (${b.reason})`,
  'node.clock': (b) => `The clock was corrected by ${b.step_ms < 0 ? '-' : ''}${span(Math.abs(b.step_ms))}`,
  'node.link': (b) => 'The broker is reached' + (b.session_present ? '' : '; it had forgotten this node'),
  'node.store': (b) => b.lost ? `The store lost something: ${b.lost}` : `Disk space is ${b.space}`,
  'node.dropped': (b) => `Events ${b.from_seq} to ${b.to_seq} can't be had: ${b.reason}`,
};

// ---- parts -------------------------------------------------------------------------------------

function make(tag, text, kind) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
}
function time(ms) {
  const element = make('time', at(ms));
  element.dateTime = new Date(ms).toISOString();
  return element;
}

function remaining(session) {
  if (session.phase !== 'active') return session.remaining_ms;
  const key = `${session.session} ${session.ends_at_ms}`;
  return deadlines.has(key) ? deadlines.get(key) - performance.now() : session.remaining_ms;
}

// A text may be half a second old when it comes, which only makes the end seem later than it is.
function reckon() {
  const known = deadlines;
  deadlines = new Map();
  for (const session of report.state.sessions) {
    if (session.remaining_ms === undefined) continue;
    const key = `${session.session} ${session.ends_at_ms}`, end = seen + session.remaining_ms;
    const before = known.get(key);
    deadlines.set(key, before !== undefined && Math.abs(before - end) < 1000 ? Math.min(before, end) : end);
  }
}

function station(of) {
  const state = report.state, session = state.sessions.find((one) => one.session === of.session);
  const faulty = state.outlets.some((outlet) => of.outlets.includes(outlet.outlet) && outlet.fault);
  const booked = state.sessions.filter((one) => one.phase === 'booked' && one.station === of.station);
  const left = session && remaining(session);
  let [kind, phase, rest, more] = ['free', '○ Power off', 'Free', ''];
  if (session) {
    kind = 'on';
    rest = left === undefined ? '–:––' : countdown(left);
    if (session.phase === 'active') {
      const soon = left < SOON_MS;
      [kind, phase] = soon ? ['soon', '◔ Ends soon'] : ['on', '● In use'];
      more = `until ${at(session.ends_at_ms, shortClock)}`;
    } else if (session.phase === 'starting') [phase, more] = ['… Switching on', 'the time has not begun'];
    else if (session.phase === 'paused') [kind, phase, more] = ['free', '❚❚ Paused', 'power off, the rest is kept'];
    else [kind, phase, rest, more] = ['soon', '◌ Time is over', '0:00', 'switching off'];
    more += session.label ? ` · ${session.label}` : '';
  }
  if (faulty) [kind, phase, rest] = ['bad', '▲ Trouble', session ? rest : 'Out of order'];
  if (booked.length) more += `${more ? ' · ' : ''}${booked.length} booked`;
  const card = make('article', undefined, `station ${kind}`);
  const clockface = make('p', rest, session ? 'rest' : 'rest word');
  if (session) clockface.setAttribute('role', 'timer');
  card.append(make('h3', of.station), make('p', phase, 'phase'), clockface, make('p', more || ' ', 'more'));
  return card;
}

function outlet(of, detail) {
  const row = make('tr'), name = make('th', of.outlet);
  name.scope = 'row';
  row.append(name);
  const cell = (head, text, kind) => {
    const element = make('td', text, kind);
    element.dataset.head = head;
    row.append(element);
    return element;
  };
  const hold = of.hold ? `, held ${of.hold.on ? 'on' : 'off'}` + (of.hold.until_ms ? ` until ${at(of.hold.until_ms)}` : '') : '';
  const power = of.on === undefined ? '? not reached yet' : of.on ? '● on' : '○ off';
  const load = detail?.power_mw === undefined ? '' : `, ${decimal.format(detail.power_mw / 1000)} W`;
  cell('Power', power + load + hold, of.on ? 'good' : '');
  const lease = of.lease === 'none' ? (of.on ? 'no, only this node can' : '–')
    : `${of.lease === 'stale' ? '▲ wrongly ' : ''}at ${at(of.off_at_ms)}`;
  cell('Cuts itself', lease, of.lease === 'stale' ? 'wrong' : '');
  cell('How sure', PROOF[detail?.proof] ?? '–');
  const trouble = of.fault ? `▲ ${FAULT[of.fault] ?? of.fault}` : '✓ none';
  cell('Trouble', trouble + (of.fault && detail?.fault_since_ms ? `, since ${at(detail.fault_since_ms)}` : ''), of.fault ? 'wrong' : '');
  return row;
}

// What a person should see to: [what, since when, more].
function troubles() {
  const { state, host } = report, list = [], now = nodeNow();
  const details = new Map(report.outlets.map((detail) => [detail.outlet, detail]));
  for (const one of state.outlets.filter((one) => one.fault)) {
    const detail = details.get(one.outlet);
    list.push([`${one.outlet} ${FAULT[one.fault] ?? one.fault}`, detail?.fault_since_ms, detail?.fault_message]);
  }
  for (const one of state.outlets.filter((one) => one.worn_percent)) {
    const detail = details.get(one.outlet);
    list.push([`${one.outlet}'s relay is worn`, undefined, `It has closed ${decimal.format(detail?.cycles ?? 0)} times of ${decimal.format(detail?.rated_cycles ?? 0)}. Replace it.`]);
  }
  if (!report.online) list.push(['The broker is not reached', report.link_since_ms, `${report.offline_because ?? ''} Sessions go on and end as they should.`]);
  if (!report.accepting) list.push(['The node takes no new work', undefined, 'Its disk or its queue of events is full. Running sessions end as they should.']);
  if (report.clock !== 'synced') list.push(['The clock is not set yet', undefined, 'Times of day may be wrong; remaining times are right.']);
  const valid = report.certificate_expires_at_ms - now;
  if (valid < 30 * DAY_MS) list.push([valid < 0 ? 'The certificate has expired' : `The certificate expires in ${span(valid)}`, undefined, 'Renew it, or the broker will refuse this node.']);
  if (host?.throttled?.length) list.push([`The board is slowed down: ${host.throttled.map((why) => SLOWED[why] ?? why).join(', ')}`]);
  if (host?.disk_spares && host.disk_spares !== 'normal') list.push(['The disk is nearly worn out', undefined, 'Replace it.']);
  return list;
}

function facts() {
  const { state, host } = report, queues = state.queues, list = [];
  const fact = (name, ...texts) => list.push([name, texts.filter(Boolean).join(', ')]);
  const percent = (part) => `${decimal.format(part)} %`;
  fact('Broker', `${report.online ? '✓ reached' : '▲ not reached'} since ${at(report.link_since_ms)}`);
  fact('Clock', report.clock === 'synced' ? '✓ set' : '▲ not set yet');
  fact('Waiting for the broker', count(queues.outbox_events, 'event', 'events'), queues.outbox_bytes ? size(queues.outbox_bytes) : '');
  fact('Tasks', `${decimal.format(queues.tasks_queued)} queued`, `${decimal.format(queues.tasks_running)} running`);
  if (host) {
    fact('Processor', host.cpu_percent !== undefined && `${percent(host.cpu_percent)} busy`, host.cpu_c !== undefined && `${decimal.format(host.cpu_c)} °C`);
    if (host.memory_bytes) fact('Memory', `${size(host.memory_available_bytes)} of ${size(host.memory_bytes)} free`);
    if (host.disk_bytes) fact('Disk', `${size(host.disk_available_bytes)} of ${size(host.disk_bytes)} free`, host.disk_worn_percent && `at most ${percent(host.disk_worn_percent)} worn`);
    fact('Up for', span(host.uptime_ms));
  }
  fact('Certificate', `until ${day.format(new Date(report.certificate_expires_at_ms))}`);
  fact('Version', `edge-agent ${report.version}`);
  return list;
}

// ---- the page ----------------------------------------------------------------------------------

// Puts new parts in place of old ones, but leaves alone what has not changed: selections stay.
function fill(id, parts) {
  const place = $(id), old = [...place.children];
  if (old.length !== parts.length) place.replaceChildren(...parts);
  else parts.forEach((part, i) => { if (!part.isEqualNode(old[i])) old[i].replaceWith(part); });
}

function show() {
  const { state } = report;
  $('name').textContent = state.node;
  document.title = `${state.node} · edge-agent`;
  showTroubles();
  showStations();
  const details = new Map(report.outlets.map((detail) => [detail.outlet, detail]));
  $('outlets-part').hidden = !state.outlets.length;
  fill('outlets', state.outlets.map((one) => outlet(one, details.get(one.outlet))));
  fill('node', facts().map(([name, text]) => {
    const pair = make('div');
    pair.append(make('dt', name), make('dd', text || '–'));
    return pair;
  }));
  fill('events', [...report.events].reverse().map((event) => {
    const item = make('li');
    item.append(time(event.at_ms), make('span', (EVENT[event.type] ?? (() => event.type))(event.body ?? {})));
    return item;
  }));
}

function showTroubles() {
  const list = troubles();
  $('trouble').hidden = !list.length;
  fill('troubles', list.map(([what, since, more]) => {
    const item = make('li');
    item.append(make('strong', `▲ ${what}`));
    if (since) item.append(` since ${at(since)} (${span(nodeNow() - since)})`);
    if (more) item.append(make('small', more));
    return item;
  }));
}

function showStations() {
  const stations = report.state.stations;
  fill('stations', stations.length ? stations.map(station) : [make('p', 'No stations are configured.', 'more')]);
}

function tick() {
  const silent = performance.now() - seen, away = report ? silent > 2 * ASK_MS + 500 : silent > PATIENCE_MS;
  const live = $('live'), banner = $('away');
  const text = away ? '▲ No answer' : report ? '● Live' : 'Asking …';
  if (live.textContent !== text) live.textContent = text;
  live.classList.toggle('away', away);
  banner.hidden = !away;
  // Said once, not each second: a screen reader reads it out.
  const told = report
    ? `The agent has not answered since ${clock.format(new Date(Date.now() - silent))}. What stands below was so then; times count on from it.`
    : 'The agent does not answer.';
  if (away && banner.textContent === '') banner.textContent = told;
  if (!away) banner.textContent = '';
  if (report && report.state.stations.length) showStations();
}

async function ask() {
  if (asking || document.hidden) return;
  asking = true;
  try {
    const answer = await fetch('status.json', { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.ok) {
      report = await answer.json();
      seen = performance.now();
      reckon();
      show();
    }
  } catch { /* The banner tells. */ }
  asking = false;
}

setInterval(ask, ASK_MS);
setInterval(() => { if (!document.hidden) tick(); }, TICK_MS);
document.addEventListener('visibilitychange', ask);
ask();
