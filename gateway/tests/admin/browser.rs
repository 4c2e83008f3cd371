//! The page as Chromium shows it. Run by `cargo xtask ci browser`, which has Chromium installed; the pictures are left in `target/tmp/admin/`.

use std::{
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::fixture::{Fixture, Running, destinations};

/// Names another browser than `chromium`.
const BROWSER: &str = "COMITY_CHROMIUM";

/// Far more than one page takes on a slow machine.
const LIMIT: Duration = Duration::from_secs(90);

fn busy() -> Fixture {
    Fixture {
        destinations: destinations(),
        ..Fixture::default()
    }
}

/// A browser with a profile of its own, which finds no host but this one. It is ended when this is dropped.
struct Browser {
    child: Child,
    profile: TempDir,
}

impl Browser {
    fn start(arguments: &[String]) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let file = |name| fs::File::create(profile.path().join(name)).unwrap();
        let browser = env::var_os(BROWSER).unwrap_or_else(|| "chromium".into());
        let child = Command::new(&browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync"])
            .args(["--hide-scrollbars", "--disable-dev-shm-usage"])
            .args([
                "--enable-logging=stderr",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ])
            .arg(format!(
                "--user-data-dir={}",
                profile.path().join("profile").display()
            ))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{browser:?} cannot be started ({error}); {BROWSER} names another")
            });
        Self { child, profile }
    }

    fn wrote(&self, name: &str) -> String {
        let bytes = fs::read(self.profile.path().join(name)).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log(&self) -> String {
        self.wrote("err")
    }

    /// Waits until it has done what it was started for, and gives what it printed. It must not have complained of the page.
    async fn finish(mut self) -> String {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < LIMIT, "it runs on: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let log = self.log();
        assert!(status.success(), "{log}");
        for complaint in ["Content Security Policy", "Refused to", "CONSOLE"] {
            assert!(!log.contains(complaint), "{log}");
        }
        self.wrote("out")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The document after the browser has read it, as it would write it.
async fn document(running: &Running, path: &str, more: &[&str]) -> String {
    browse("--dump-dom".to_owned(), running, path, more).await
}

async fn picture(running: &Running, name: &str, path: &str, more: &[&str]) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("admin");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}.png"));
    let _ = fs::remove_file(&file);
    browse(
        format!("--screenshot={}", file.display()),
        running,
        path,
        more,
    )
    .await;
    let picture = fs::read(&file).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    picture
}

async fn browse(what: String, running: &Running, path: &str, more: &[&str]) -> String {
    let mut arguments = vec![what];
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    arguments.push(format!("http://{}{path}", running.address));
    Browser::start(&arguments).finish().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: cargo xtask ci browser"]
async fn a_browser_shows_every_destination_and_runs_nothing_that_a_name_holds() {
    let running = Running::start(busy()).await;
    let document = document(&running, "/?refresh=off", &[]).await;
    for expected in [
        "<title>hs1.example: Ready</title>",
        "<bdi>aaa.example</bdi>",
        "<bdi>[2001:db8::17]:8448</bdi>",
        "In use: its signed key document offers it",
        "Backed off for 3 min 42 s: TLS failed: the certificate is for other.example",
        "12 <small>connect 9</small> <small>tls 3</small>",
        "61 ms",
        "&lt;script&gt;document.title='broken in'&lt;/script&gt;",
    ] {
        assert!(document.contains(expected), "{expected}\n{document}");
    }
    for element in ["<script", "<img", "\u{202e}"] {
        assert!(!document.contains(element), "{document}");
    }
    assert_eq!(document.matches("<tbody").count(), destinations().len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: cargo xtask ci browser"]
async fn a_page_left_open_shows_what_happens_meanwhile() {
    let running = Running::start(busy()).await;
    let first = document(&running, "/?refresh=off", &[]).await;
    assert!(first.contains(">48,120<"), "{first}");
    let mut open = Browser::start(&[
        "--remote-debugging-port=0".to_owned(),
        format!("http://{}/", running.address),
    ]);
    // It was shown once above; left alone, it has itself loaded again and again.
    let start = Instant::now();
    while running.fixture.times_shown.load(Ordering::SeqCst) < 4 {
        assert!(open.child.try_wait().unwrap().is_none(), "{}", open.log());
        assert!(start.elapsed() < LIMIT, "{}", open.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        start.elapsed() > Duration::from_secs(5),
        "as often as it says"
    );
    drop(open);
    let last = document(&running, "/?refresh=off", &[]).await;
    assert!(!last.contains(">48,120<"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: cargo xtask ci browser"]
async fn the_page_has_a_light_and_a_dark_face_and_fits_a_telephone() {
    let running = Running::start(busy()).await;
    let wide = "--window-size=1280,900";
    let light = picture(&running, "light", "/?refresh=off", &[wide]).await;
    // Blink's PreferredColorScheme: 0 is dark.
    let dark = [wide, "--blink-settings=preferredColorScheme=0"];
    let dark = picture(&running, "dark", "/?refresh=off", &dark).await;
    let narrow = ["--window-size=412,1400"];
    let narrow = picture(&running, "narrow", "/?refresh=off", &narrow).await;
    // A blank page of this size takes some 5 KB.
    for picture in [&light, &dark, &narrow] {
        assert!(picture.len() > 20_000, "{} bytes: blank?", picture.len());
    }
    assert_ne!(light, dark);

    let faulty = Fixture {
        fault: Some("connection refused (127.0.0.1:18081)".to_owned()),
        ..Fixture::default()
    };
    let running = Running::start(faulty).await;
    picture(&running, "not-ready", "/?refresh=off", &[wide]).await;
}
