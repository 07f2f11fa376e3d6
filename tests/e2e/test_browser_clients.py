"""Clients of headless Chrome that are in use in the field, through podvisor's address: what is theirs ends with them,
what is Chrome's stays, and who may not or is one too many is told so."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

import pytest

import npm
import podvisor as library

HERE = pathlib.Path(__file__).with_name("browsers")
CHROMES = [name for name in ("chromium-headless-shell", "chromium") if shutil.which(name)]

pytestmark = [pytest.mark.skipif(not shutil.which(tool), reason=f"{tool} is not installed")
              for tool in ("node", "npm", "chromium-headless-shell")]

# What the scripts below begin with: a plain client, for what no library lets one say.
PLAIN = """
const WebSocket = require('ws');
const connect = (address, options) => new Promise((done, fail) => {
    const ws = new WebSocket(address, options), waiting = new Map(), own = { ws, seen: [] };
    let last = 0;
    own.closed = new Promise(r => ws.on('close', (code, reason) => r([code, String(reason)])));
    own.send = (method, params, sessionId) => own.raw(id => JSON.stringify({ id, method, params, sessionId }));
    own.raw = text => new Promise(r => { const id = ++last; waiting.set(id, r); ws.send(text(id)); });
    ws.on('message', m => { const a = JSON.parse(m); own.seen.push(a); waiting.get(a.id)?.(a); });
    ws.on('open', () => done(own));
    ws.on('unexpected-response', (q, a) => fail(new Error(`status ${a.statusCode} ${a.headers['retry-after'] ?? ''}`)));
    ws.on('error', fail);
});
"""


class Browser:
    """A podvisor with one Chrome, and how clients use it."""

    def __init__(self, start, modules, chrome="chromium-headless-shell", **keys):
        self.port = library.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.modules = modules
        self.pod = start({
            "instance": "e2e",
            "volumes": {"disk": {"path": "DISK", "size": "1Gi", "mount": "any"}},
            "browsers": {"chrome": {"executable": chrome, "listen": f"127.0.0.1:{self.port}", "volume": "disk", **keys}},
        })
        self.headers = {"Authorization": f"Bearer {keys['token']}"} if "token" in keys else {}
        library.wait_until("Chrome answers", lambda: self.get("/json/version"), 60, self.pod.tail)

    def get(self, path, method="GET", **headers):
        request = urllib.request.Request(self.url + path, method=method, headers={**self.headers, **headers})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def refusal(self, path, method="GET", **headers):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(self.url + path, method=method, headers=headers), timeout=60)
        return refused.value.code

    @property
    def endpoint(self):
        return self.get("/json/version")["webSocketDebuggerUrl"]

    def state(self):
        return next(b for b in self.pod.status()["browsers"] if b["name"] == "chrome")

    def pages(self):
        return [p["url"] for p in self.get("/json/list") if p["type"] == "page"]

    def metric(self, name):
        found = re.findall(rf"^podvisor_browser_{re.escape(name)} (\S+)$", self.pod.get("/metrics").text, re.M)
        return float(found[0])

    def node(self, script, *words):
        done = npm.run(self.modules, "const [url, endpoint, ...rest] = words;" + PLAIN + script, self.url,
                       self.endpoint, *words)
        assert done.returncode == 0, done.stderr + self.pod.tail()
        return json.loads(done.stdout)

    def wait(self, what, condition):
        return library.wait_until(what, condition, 60, self.pod.tail)


@pytest.fixture
def browser(podvisor, browser_modules):
    # Not pytest's tmp_path: Chrome makes a Unix socket deep below it, whose path is at most 107 bytes long.
    disks = []

    def start(**keys):
        disks.append(tempfile.mkdtemp(prefix="pv-"))

        def podvisor_on_disk(config):
            config["volumes"]["disk"]["path"] = disks[-1]
            return podvisor(config)
        return Browser(podvisor_on_disk, browser_modules, **keys)

    yield start
    for disk in disks:
        library.wait_until("its disk can be removed", lambda: not shutil.rmtree(disk, ignore_errors=True) and not os.path.exists(disk))


CLOSERS = {
    "puppeteer": """
        const puppeteer = require('puppeteer-core');
        const b = await puppeteer.connect({ browserURL: url });
        await b.newPage().then(p => p.goto('data:text/html,mine'));
        await (await b.createBrowserContext()).newPage().then(p => p.goto('data:text/html,apart'));
        const gone = new Promise(r => b.on('disconnected', () => r(true)));
        await b.close();
        return await gone;""",
    "playwright": """
        const b = await require('playwright-core').chromium.connectOverCDP(url);
        await b.contexts()[0].newPage().then(p => p.goto('data:text/html,mine'));
        await (await b.newContext()).newPage().then(p => p.goto('data:text/html,apart'));
        const cdp = await b.newBrowserCDPSession();
        const gone = new Promise(r => b.on('disconnected', () => r(true)));
        await cdp.send('Browser.close');
        return await gone;""",
    "chrome-remote-interface": """
        const b = await require('chrome-remote-interface')({ target: endpoint });
        await b.Target.createTarget({ url: 'data:text/html,mine' });
        const { browserContextId } = await b.Target.createBrowserContext();
        await b.Target.createTarget({ url: 'data:text/html,apart', browserContextId });
        const gone = new Promise(r => b.on('disconnect', () => r(true)));
        await b.Browser.close();
        return await gone;""",
}


@pytest.mark.parametrize("chrome", CHROMES)
@pytest.mark.parametrize("library_name", CLOSERS)
def test_a_client_that_closes_the_browser_ends_its_own_session_only(browser, chrome, library_name):
    one = browser(chrome=chrome)
    before = one.state()
    # The neighbour is there all the time: it sees the other one's pages come and go, and goes on.
    got = one.node("""
        const other = await connect(endpoint);
        const { result: { targetId } } = await other.send('Target.createTarget', { url: 'data:text/html,other' });
        const { result: { sessionId } } = await other.send('Target.attachToTarget', { targetId, flatten: true });
        const ended = await (async () => { """ + CLOSERS[library_name] + """ })();
        const sum = await other.send('Runtime.evaluate', { expression: '20 + 22' }, sessionId);
        other.ws.close();
        return [ended, sum.result.result.value];""")
    assert got == [True, 42]
    one.wait("its pages are closed", lambda: sorted(one.pages()) == ["about:blank", "data:text/html,other"])
    assert (one.state()["generation"], one.state()["pid"]) == (before["generation"], before["pid"])
    one.wait("no session is left", lambda: one.metric('sessions{browser="chrome"}') == 0)


def test_a_close_is_answered_in_its_turn_and_followed_by_a_clean_end(browser):
    got = browser().node("""
        const c = await connect(endpoint);
        const answers = await Promise.all([c.send('Browser.getVersion'), c.send('Browser.close'), c.closed]);
        const flat = await connect(endpoint);
        const { result: { targetId } } = await flat.send('Target.createTarget', { url: 'about:blank' });
        const { result: { sessionId } } = await flat.send('Target.attachToTarget', { targetId, flatten: true });
        const last = await Promise.all([flat.send('Browser.close', {}, sessionId), flat.closed]);
        return [Boolean(answers[0].result.product), answers[1], answers[2][0], last[0].result, last[0].sessionId === sessionId];""")
    assert got == [True, {"id": 2, "result": {}}, 1000, {}, True]


@pytest.mark.parametrize("chrome", CHROMES)
def test_no_spelling_of_a_command_that_ends_chrome_reaches_it(browser, chrome):
    one = browser(chrome=chrome)
    before = one.state()
    got = one.node(r"""
        const ways = {
            crash: c => c.send('Browser.crash'),
            gpu: c => c.send('Browser.crashGpuProcess'),
            expose: c => c.send('Target.exposeDevToolsProtocol', { targetId: 'x' }),
            hangs: async c => {
                const { result: { targetId } } = await c.send('Target.createTarget', { url: 'about:blank' });
                const { result: { sessionId } } = await c.send('Target.attachToTarget', { targetId, flatten: true });
                return c.send('Page.navigate', { url: 'chrome://uithreadhang', transitionType: 'address_bar' }, sessionId);
            },
            create: c => c.send('Target.createTarget', { url: 'chrome://inducebrowsercrashforrealz' }),
            escapes: c => c.raw(id => `{"id":${id},"m\\u0065thod":"Browser\\u002ecrash"}`),
            comments: c => c.raw(id => ` {/*"*/ "id":${id} , "params" : {} ,"method"//"x"\n: "Browser.crash" } `),
            twice: c => c.raw(id => `{"id":${id},"method":"Browser.getVersion","method":"Browser.crash"}`),
            fragments: c => c.raw(id => ({ id })) && null,
            carried: async c => {
                const { result: { sessionId } } = await c.send('Target.attachToBrowserTarget');
                return c.send('Target.sendMessageToTarget', { sessionId, message: '{"id":1,"method":"Browser.crash"}' });
            },
            flat: async c => {
                const { result: { targetId } } = await c.send('Target.createTarget', { url: 'about:blank' });
                const { result: { sessionId } } = await c.send('Target.attachToTarget', { targetId, flatten: true });
                const navigated = await c.send('Page.navigate', { url: 'chrome://quit' }, sessionId);
                if (!navigated.error) return navigated;
                return c.send('Browser.crash', {}, sessionId);
            },
        };
        delete ways.fragments;
        const c = await connect(endpoint), got = {};
        for (const [name, way] of Object.entries(ways)) got[name] = (await way(c)).error?.message ?? 'done';
        // Fragmented by hand, behind a message that is too long to be held.
        const cut = text => { for (let i = 0; i < text.length; i++) c.ws.send(text[i], { fin: i === text.length - 1 }); };
        cut('{"id":1000,"method":"Browser.crash"}');
        while (!c.seen.some(a => a.id === 1000)) await new Promise(r => c.ws.once('message', r));
        got.fragments = c.seen.find(a => a.id === 1000).error?.message ?? 'done';
        c.ws.send(`{"id":1001,"params":{"x":"${'x'.repeat(1 << 20)}"},"method":"Browser.close"}`);
        got.long = (await c.closed)[1];
        const page = await connect((await (await fetch(`${url}/json/new`, { method: 'PUT' })).json()).webSocketDebuggerUrl);
        got.page = (await page.send('Browser.crash')).error?.message ?? 'done';
        got.close = (await Promise.all([page.send('Browser.close'), page.closed]))[0];
        return got;""")
    assert one.refusal("/json/new?chrome://inducebrowsercrashforrealz", method="PUT") == 403
    assert got.pop("close") == {"id": 2, "result": {}}
    assert "can end the Chrome of all" in got.pop("long")
    assert all("can end the Chrome of all (client_close)" in told for told in got.values()), got
    assert (one.state()["generation"], one.state()["pid"]) == (before["generation"], before["pid"])


def test_what_is_allowed_is_passed_on(browser):
    one = browser(client_close="allow")
    assert one.state()["generation"] == 1
    one.node("const c = await connect(endpoint); c.send('Browser.close'); await c.closed;")
    one.wait("another Chrome", lambda: one.state()["generation"] == 2 and one.state()["state"] == "ready")


def test_big_things_come_through_whole(browser):
    got = browser().node("""
        const b = await require('puppeteer-core').connect({ browserURL: url });
        const p = await b.newPage();
        const text = 'ä"\\\\\\n'.repeat(400000);
        const back = await p.evaluate(t => t, text);
        await p.setViewport({ width: 3000, height: 3000 });
        await p.evaluate(() => { const c = document.createElement('canvas'); c.width = c.height = 3000;
            document.body.append(c); const x = c.getContext('2d'), d = x.createImageData(3000, 3000);
            for (let i = 0; i < d.data.length; i += 65536) crypto.getRandomValues(d.data.subarray(i, i + 65536));
            for (let i = 3; i < d.data.length; i += 4) d.data[i] = 255;
            x.putImageData(d, 0, 0); });
        const shot = await p.screenshot();
        await b.close();
        return [back === text, shot.length > 20e6];""")
    assert got == [True, True]


def test_one_too_many_is_refused_and_may_come_again(browser):
    one = browser(max_sessions=2, queue=2)
    got = one.node("""
        const first = [await connect(endpoint), await connect(endpoint)];
        const waiting = [1, 2].map(() => connect(endpoint));
        const queued = async () => /browser_queue\\{[^}]*\\} 2\\n/.test(await (await fetch(rest[0])).text());
        while (!await queued()) ;
        const refused = await connect(endpoint).then(() => 'taken', e => e.message);
        first.forEach(c => c.ws.close());
        const later = await Promise.all(waiting);
        const works = await Promise.all(later.map(c => c.send('Browser.getVersion')));
        later.forEach(c => c.ws.close());
        return [refused, works.every(a => a.result.product)];""", f"http://127.0.0.1:{one.pod.port}/metrics")
    assert got == ["status 503 2", True]
    one.wait("nobody waits", lambda: one.metric('queue{browser="chrome"}') == 0)


def test_a_page_of_another_origin_is_refused(browser):
    one = browser(allow_origins=["https://ours.example"])
    assert one.refusal("/json/version", Origin="https://evil.example") == 403
    assert one.get("/json/version", Origin="https://ours.example")
    got = one.node("""
        const at = origin => connect(endpoint, { origin }).then(c => (c.ws.close(), 'taken'), e => e.message);
        return [await at('https://evil.example'), await at(url), await at('null'), await at('https://ours.example')];""")
    assert got == ["status 403 ", "status 403 ", "status 403 ", "taken"]


def test_a_token_is_asked_for_and_told_to_nobody(browser):
    one = browser(token="hush-hush-hush")
    assert one.refusal("/json/version") == 401
    assert one.refusal("/json/version?token=hush-hush-hus") == 401
    assert one.get("/json/version?token=hush-hush-hush", Host="chrome.ours.com")
    got = one.node("""
        const headers = { Authorization: 'Bearer hush-hush-hush' };
        const b = await require('puppeteer-core').connect({ browserWSEndpoint: endpoint, headers });
        const p = await b.newPage();
        const sum = await p.evaluate('1 + 1');
        await b.close();
        await (await require('playwright-core').chromium.connectOverCDP(url, { headers })).close();
        for (const query of ['', '?token=hush-hush'])
            await connect(endpoint + query).then(() => { throw new Error('taken'); }, () => {});
        const named = await (await fetch(`${url}/json/version?token=hush-hush-hush`)).json();
        const again = await require('puppeteer-core').connect({ browserWSEndpoint: named.webSocketDebuggerUrl });
        await again.disconnect();
        return sum;""")
    assert got == 2
    seen = one.pod.log_file.read_text() + one.pod.errors_file.read_text() + json.dumps(one.pod.status())
    assert "hush-hush-hush" not in seen + one.pod.get("/metrics").text + json.dumps(one.pod.events())


def test_a_name_as_host_works_and_stands_in_the_addresses(browser):
    one = browser()
    named = one.get("/json/version", Host="chrome.default.svc.cluster.local:9222")["webSocketDebuggerUrl"]
    assert one.get("/json/version", Host="[::1]:9222") and one.get("/json/version", Host="10.0.0.1")
    assert one.refusal("/json/version", Host="rebound.evil.com:9222") == 403
    assert one.refusal("/json/close/X", Host="rebound.evil.com.") == 403
    assert named.startswith("ws://chrome.default.svc.cluster.local:9222/devtools/browser/")
    assert all(p["webSocketDebuggerUrl"].startswith("ws://chrome:9222/devtools/page/")
               for p in one.get("/json/list", Host="chrome:9222"))
    got = one.node("""
        const c = await connect(endpoint, { headers: { Host: 'chrome:9222' } });
        return (await c.send('Browser.getVersion')).result.product;""")
    assert "Chrome" in got


def test_pages_are_had_by_plain_http(browser):
    one = browser()
    made = one.get("/json/new?data:text/html,made", method="PUT")
    assert "data:text/html,made" in one.pages()
    urllib.request.urlopen(f"{one.url}/json/activate/{made['id']}", timeout=30).close()
    urllib.request.urlopen(f"{one.url}/json/close/{made['id']}", timeout=30).close()
    one.wait("it is closed", lambda: "data:text/html,made" not in one.pages())
    assert one.refusal(f"/json/close/{made['id']}") == 404


class Load:
    """Clients that connect, open a page, read it, close, for as long as the load is on."""

    def __init__(self, one, modules, directory, libraries):
        self.out = {f"{name}-{i}": directory / f"{name}-{i}" for i, name in enumerate(libraries)}
        self.processes = {}
        for key, out in self.out.items():
            with open(out, "wb") as to:
                self.processes[key] = subprocess.Popen(
                    ["node", str(HERE / "load.js"), one.url, one.endpoint, key.partition("-")[0]], stdin=subprocess.PIPE,
                    stdout=to, stderr=subprocess.STDOUT, env={**os.environ, "NODE_PATH": str(modules)})

    def rounds(self, key):
        lines = self.out[key].read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def least(self):
        return min(len(self.rounds(key)) for key in self.out)

    def broken(self):
        return [(key, fact) for key in self.out for fact in self.rounds(key) if "error" in fact]

    def end(self):
        for process in self.processes.values():
            process.stdin.close()
        for process in self.processes.values():
            assert process.wait(120 * library.SLOWER) == 0

    def kill(self):
        for process in self.processes.values():
            process.kill()


@pytest.fixture
def load(browser_modules, tmp_path):
    started = []

    def start(one, *libraries):
        started.append(Load(one, browser_modules, tmp_path, libraries))
        return started[-1]
    yield start
    for one in started:
        one.kill()


LIBRARIES = ["puppeteer", "playwright"]
SWAPS = int(os.environ.get("PODVISOR_SWAPS", "5"))  # the contract's 20: make chrome-faults


def test_swaps_under_load_break_nothing(browser, load):
    one = browser(drain="60s", recycle={"sessions": 8, "per_hour": 60})
    endpoint = one.endpoint
    on = load(one, *LIBRARIES)

    def swapped():
        assert not on.broken(), on.broken()
        return one.state()["recycles_by_reason"].get("sessions", 0) >= SWAPS
    library.wait_until(f"{SWAPS} swaps", swapped, 120 + 20 * SWAPS, one.pod.tail)
    on.end()
    assert not on.broken(), on.broken()
    assert on.least() >= SWAPS
    told = one.state()
    assert told["recycles"] == told["recycles_by_reason"]["sessions"], told
    assert one.endpoint == endpoint
    assert one.metric('swap_seconds_count{browser="chrome"}') == told["recycles"]
    rounds = sorted(fact["ms"] for key in on.out for fact in on.rounds(key))
    print(json.dumps({"swaps": told["recycles"], "rounds": len(rounds), "median_ms": rounds[len(rounds) // 2],
                      "longest_ms": rounds[-1]}))


def test_a_session_goes_on_where_it_began_while_chrome_is_replaced(browser):
    one = browser(drain="60s", recycle={"sessions": 3, "per_hour": 60})
    got = one.node("""
        const old = await connect(endpoint), product = async c => (await c.send('Browser.getVersion')).result.product;
        const { result: { targetId } } = await old.send('Target.createTarget', { url: 'data:text/html,mine' });
        const { result: { sessionId } } = await old.send('Target.attachToTarget', { targetId, flatten: true });
        await old.send('Runtime.evaluate', { expression: 'x = 41' }, sessionId);
        const generation = async () => Number(/browser_generation\\{[^}]*\\} (\\d+)\\n/.exec(await (await fetch(rest[0])).text())[1]);
        const before = await generation();
        while (await generation() === before) { const c = await connect(endpoint); await product(c); c.ws.close(); await c.closed; }
        for (;;) { /* sessions go to the new one from the moment that it is ready */
            const c = await connect(endpoint);
            const pages = (await c.send('Target.getTargets')).result.targetInfos.map(t => t.targetId);
            c.ws.close();
            await c.closed;
            if (!pages.includes(targetId)) break;
        }
        const x = await old.send('Runtime.evaluate', { expression: 'x + 1' }, sessionId);
        const all = (await (await fetch(`${url}/json/list`)).json()).map(p => p.id);
        const page = await connect(`${endpoint.replace(/browser.*/, 'page/')}${targetId}`);
        const there = await page.send('Runtime.evaluate', { expression: 'x' });
        page.ws.close();
        old.ws.close();
        return [x.result.result.value, all.includes(targetId), there.result.result.value];""",
                   f"http://127.0.0.1:{one.pod.port}/metrics")
    assert got == [42, True, 41]


def test_a_chrome_that_never_gets_ready_leaves_the_old_one_serving(browser, load, tmp_path):
    broken, script = tmp_path / "broken", tmp_path / "headless-shell"
    script.write_text(f"#!/bin/sh\n[ -e {broken} ] && exec sleep 1000\nexec chromium-headless-shell \"$@\"\n")
    script.chmod(0o755)
    one = browser(chrome=str(script), start_timeout="10s", recycle={"sessions": 8, "per_hour": 60})
    generation = one.state()["generation"]
    broken.touch()
    on = load(one, *LIBRARIES)
    one.wait("one that did not get ready", lambda: one.state()["recycles_by_reason"].get("start", 0) >= 1)
    rounds = on.least()
    one.wait("more rounds", lambda: on.least() >= rounds + 3)
    assert not on.broken(), on.broken()
    assert one.state()["state"] == "ready" and one.state()["generations"][-1]["number"] == generation
    on.end()
    assert not on.broken(), on.broken()


def tidied(one, what):
    return one.metric(f'janitor_closed_total{{browser="chrome",what="{what}"}}')


@pytest.mark.parametrize("chrome", CHROMES)
def test_what_clients_leave_behind_is_closed(browser, chrome):
    one = browser(chrome=chrome, janitor={"idle": "3s", "spin": "none"}, health={"renderer": {"interval": "500ms"}})
    got = one.node("""
        const stays = await connect(endpoint), leaves = await connect(endpoint);
        const open = async (c, url, browserContextId) => (await c.send('Target.createTarget', { url, browserContextId })).result.targetId;
        const context = async c => (await c.send('Target.createBrowserContext')).result.browserContextId;
        const used = await open(stays, 'data:text/html,used');
        const { result: { sessionId } } = await stays.send('Target.attachToTarget', { targetId: used, flatten: true });
        const kept = await context(stays);
        await open(leaves, 'data:text/html,leaked');
        const left = await context(leaves);
        await open(leaves, 'data:text/html,apart', left);
        leaves.ws.close();
        const pages = async () => (await (await fetch(`${url}/json/list`)).json()).filter(p => p.type === 'page').map(p => p.url);
        while ((await pages()).some(p => /leaked|apart/.test(p))) await new Promise(r => setTimeout(r, 100));
        const sum = await stays.send('Runtime.evaluate', { expression: '20 + 22' }, sessionId);
        const contexts = (await stays.send('Target.getBrowserContexts')).result.browserContextIds;
        stays.ws.close();
        return [sum.result.result.value, (await pages()).sort(), contexts.includes(kept)];""")
    assert got == [42, ["about:blank", "data:text/html,used"], True]
    assert tidied(one, "idle-page") >= 2
    assert one.pod.events(what="janitor", text="no session was attached to it for 3 s")
    # Whoever has made the contexts is gone, and so is the page in the end; one blank page stays, and so do podvisor's own.
    one.wait("the contexts go", lambda: tidied(one, "idle-context") >= 2)
    one.wait("the page goes", lambda: one.pages() == ["about:blank"])
    checks = one.state()
    assert checks["generation"] == 1 and all(check["misses"] == 0 for check in checks["checks"])


def test_a_page_that_spins_is_closed_and_its_neighbours_are_not(browser):
    one = browser(janitor={"idle": "none", "spin": "3s"}, health={"renderer": {"interval": "1s"}})
    got = one.node("""
        const page = async (c, text) => {
            const { result: { targetId } } = await c.send('Target.createTarget', { url: `data:text/html,${text}` });
            const { result: { sessionId } } = await c.send('Target.attachToTarget', { targetId, flatten: true });
            return { targetId, run: expression => c.send('Runtime.evaluate', { expression }, sessionId), sessionId };
        };
        const mine = await connect(endpoint), theirs = await connect(endpoint);
        const asks = await page(theirs, 'asks'), works = await page(theirs, 'works'), spins = await page(mine, 'spins');
        await theirs.send('Page.enable', {}, asks.sessionId);
        asks.run('alert(1)'); /* does not answer, but does nothing either */
        /* busy, but answers; it has a head start, for by what they have used they are told apart */
        await works.run('setInterval(() => { const end = Date.now() + 95; while (Date.now() < end); }, 0)');
        const used = async () => (await theirs.send('Performance.getMetrics', {}, works.sessionId)).result.metrics.find(m => m.name === 'ProcessTime').value;
        await theirs.send('Performance.enable', {}, works.sessionId);
        while (await used() < 2) ;
        await mine.send('Target.setDiscoverTargets', { discover: true });
        spins.run('for (;;);');
        const gone = () => mine.seen.some(m => m.method === 'Target.targetDestroyed' && m.params.targetId === spins.targetId);
        while (!gone()) await new Promise(r => mine.ws.once('message', r));
        await theirs.send('Page.handleJavaScriptDialog', { accept: true }, asks.sessionId);
        const answers = [await asks.run('20 + 22'), await works.run('1 + 1')].map(a => a.result.result.value);
        theirs.ws.close();
        mine.ws.close();
        return answers;""")
    assert got == [42, 2]
    assert tidied(one, "spinning-page") == 1
    assert one.pod.events(what="janitor", text="used a CPU for 3 s and did not answer")
    assert one.state()["generation"] == 1
