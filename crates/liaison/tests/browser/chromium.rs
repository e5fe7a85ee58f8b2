//! A real Chromium, driven over its debugging pipe: <https://chromedevtools.github.io/devtools-protocol/>.
//!
//! Messages are JSON ended by a zero byte, on file descriptors 3 and 4. A shell puts our pipes there, so
//! nothing but Chromium itself is needed.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// Everything a page does takes less than this, or the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// One browser with one page.
pub(crate) struct Browser {
    process: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    next: u64,
    session: String,
    problems: Vec<String>,
    _profile: tempfile::TempDir,
}

fn program() -> PathBuf {
    let told = std::env::var_os("LIAISON_TEST_CHROMIUM").filter(|path| !path.is_empty()).map(PathBuf::from);
    let program = told.unwrap_or_else(|| PathBuf::from("/usr/bin/chromium"));
    assert!(
        program.exists(),
        "The browser tests need Chromium: there is none at {}; name one with LIAISON_TEST_CHROMIUM.",
        program.display()
    );
    program
}

impl Browser {
    /// Starts Chromium with a fresh profile and a page of 1440 × 1000.
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().expect("a directory for the profile");
        let mut process = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#])
            .arg(program())
            .args(["--remote-debugging-pipe", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"])
            .args(["--force-color-profile=srgb", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Chromium starts");
        let to = process.stdin.take().expect("is piped");
        let mut out = BufReader::new(process.stdout.take().expect("is piped"));
        let (send, from) = channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while out.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { break };
                if send.send(value).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let mut browser = Self { process, to, from, next: 0, session: String::new(), problems: Vec::new(), _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", target)["sessionId"].as_str().map(str::to_owned);
        browser.session = session.expect("a session");
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.size(1440, 1000);
        browser
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.try_call(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers write the parameters in place")]
    fn try_call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.next += 1;
        let id = self.next;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("Chromium listens");
        let until = Instant::now() + PATIENCE;
        loop {
            let mut answer = match self.from.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout) => panic!("Chromium does not answer {method}"),
                Err(RecvTimeoutError::Disconnected) => panic!("Chromium ended during {method}"),
            };
            if answer["id"] != id {
                self.note(&answer);
            } else if answer["error"].is_object() {
                return Err(answer["error"].take());
            } else {
                return Ok(answer["result"].take());
            }
        }
    }

    /// Keeps what a person would see as red lines in the console.
    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.problems.push(params["exceptionDetails"].to_string()),
            Some("Runtime.consoleAPICalled") if params["type"] == "error" => self.problems.push(params["args"].to_string()),
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => self.problems.push(params["entry"].to_string()),
            _ => {}
        }
    }

    /// The errors of the console since the last look.
    pub(crate) fn problems(&mut self) -> Vec<String> {
        self.eval("0");
        std::mem::take(&mut self.problems)
    }

    /// Sets the size of the page; under 500 it is a phone.
    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// What the system says about dark and light.
    pub(crate) fn prefers(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Goes to an address and waits until the page is there and its script has run.
    pub(crate) fn goto(&mut self, url: &str) {
        let went = self.call("Page.navigate", json!({ "url": url }));
        assert!(went["errorText"].is_null(), "{url}: {}", went["errorText"]);
        self.wait("the page is there", "document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// The value of a script; null while a page is replaced by the next.
    pub(crate) fn eval(&mut self, script: &str) -> Value {
        let params = json!({ "expression": script, "returnByValue": true, "awaitPromise": true, "userGesture": true });
        match self.try_call("Runtime.evaluate", params) {
            Ok(mut answer) if answer["exceptionDetails"].is_null() => answer["result"]["value"].take(),
            Ok(answer) => panic!("{script}: {}", answer["exceptionDetails"]),
            Err(_) => Value::Null,
        }
    }

    /// Waits until a script gives something true.
    #[track_caller]
    pub(crate) fn wait(&mut self, what: &str, script: &str) {
        let until = Instant::now() + PATIENCE;
        while !truthy(&self.eval(&format!("!!({script})"))) {
            if Instant::now() > until {
                let text = self.eval("location.href + '\\n' + document.body?.innerText");
                panic!("waited in vain for: {what}\n{}", text.as_str().unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(25));
        }
    }

    /// Waits until the page shows a text.
    #[track_caller]
    pub(crate) fn wait_for_text(&mut self, text: &str) {
        self.wait(text, &format!("document.body?.innerText.includes({})", json!(text)));
    }

    /// The text of the first element a selector names.
    #[track_caller]
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.eval(&format!("document.querySelector({})?.innerText ?? null", json!(selector)));
        text.as_str().unwrap_or_else(|| panic!("nothing is at {selector}")).to_owned()
    }

    /// Presses the first element a selector names, where a person would.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let script = format!(
            "(() => {{ const e = document.querySelector({}); if (!e) return null; e.scrollIntoView({{block: 'center'}}); \
             const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()",
            json!(selector)
        );
        let place = self.eval(&script);
        assert!(place.is_array(), "nothing to press at {selector}");
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let mouse = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", mouse);
        }
    }

    /// Calls the API as the person who is signed in.
    pub(crate) fn api(&mut self, method: &str, path: &str, body: &str) -> Value {
        let script = format!(
            "fetch({}, {{method: {}, body: {}}}).then(async a => ({{status: a.status, body: await a.text()}}))",
            json!(format!("/api/v1{path}")),
            json!(method),
            json!(body)
        );
        let answer = self.eval(&script);
        let text = answer["body"].as_str().unwrap_or_default();
        assert!(answer["status"].as_u64().is_some_and(|status| status < 300), "{method} {path}: {} {text}", answer["status"]);
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Writes a picture of the page where `LIAISON_TEST_SHOTS` says, if it does.
    pub(crate) fn shot(&mut self, name: &str) {
        let Some(place) = std::env::var_os("LIAISON_TEST_SHOTS").filter(|place| !place.is_empty()) else { return };
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let mut bits = (0_u32, 0_u32);
        let mut bytes = Vec::new();
        for byte in answer["data"].as_str().unwrap_or_default().bytes().filter(|byte| *byte != b'=') {
            let digit =
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|known| *known == byte);
            bits = (bits.0 << 6 | u32::try_from(digit.expect("base64")).expect("small"), bits.1 + 6);
            if bits.1 >= 8 {
                bits.1 -= 8;
                bytes.push((bits.0 >> bits.1 & 0xff) as u8);
            }
        }
        std::fs::write(PathBuf::from(place).join(format!("{name}.png")), bytes).expect("the picture is written");
    }
}

fn truthy(value: &Value) -> bool {
    *value == Value::Bool(true)
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
