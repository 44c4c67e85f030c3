//! The table of the IterOn sandbox image, and its specification SBD-001 to 008.

use pinfold_base::Platform;

use super::Ask;
use super::On;
use super::Row;
use super::ask;
use super::row;

const BUILT: &[Ask] = &[ask("oci.blobs"), ask("oci.layers"), ask("oci.documents"), ask("oci.tar")];
const SET_ID: Ask = ask("hardening.set-id");
const AGENTS: Ask = ask("agents.present").seen(&["claude-code", "codex-cli", "gemini-cli", "opencode"]);
const USER: Ask = ask("run.user").seen(&["uid=1000(iteron) gid=1000(iteron)"]);
const CLAUDE: Ask = ask("run.version").seen(&["claude-code: "]).about("claude-code");
const CODEX: Ask = ask("run.version").seen(&["codex-cli: "]).about("codex-cli");
const GEMINI: Ask = ask("run.version").seen(&["gemini-cli: "]).about("gemini-cli");
const OPENCODE: Ask = ask("run.version").seen(&["opencode: "]).about("opencode");
const AUTONOMY: Ask = ask("agents.autonomy");

pub(super) const ROWS: &[Row] = &[
    row("1", "the image is built for linux/amd64", BUILT).on(On::One(Platform::ALL[0])),
    row("2", "the image is built for linux/arm64", BUILT).on(On::One(Platform::ALL[1])),
    row("3", "claude --version prints a version", &[CLAUDE]),
    row("4", "codex --version prints a version", &[CODEX]),
    row("5", "gemini --version prints a version", &[GEMINI]),
    row("6", "opencode --version prints a version", &[OPENCODE]),
    row("7", "tini --version prints a version", &[ask("run.tools").seen(&["tini version "]).about("tini")]),
    row("8", "tmux -V prints tmux 3.x", &[ask("run.tools").seen(&["tmux 3."]).about("tmux")]),
    row("9", "id is uid=1000(iteron) gid=1000(iteron)", &[USER]),
    row(
        "10",
        "touch /usr/local/test fails: read-only file system",
        &[ask("run.read-only").seen(&["Read-only file system"])],
    ),
    row("11", "touch /tmp/test works", &[ask("run.tmp")]),
    row(
        "12",
        "~/.claude.json has hasCompletedOnboarding",
        &[
            ask("agents.config").about("/.claude.json"),
            AUTONOMY.seen(&["hasCompletedOnboarding=true"]).about("/.claude.json"),
        ],
    ),
    row(
        "13",
        "~/.claude/settings.json lets every tool run",
        &[AUTONOMY.seen(&["defaultMode=bypassPermissions"]).about("/.claude/settings.json")],
    ),
    row("14", "no file has a set-id bit", &[SET_ID, ask("run.set-id")]),
    row("15", "less than 1 GB compressed", &[ask("size.budget").most(999_999_999)]),
    row(
        "SBD-001",
        "on Debian bookworm, with Node.js 22",
        &[ask("origin.base").seen(&["Debian", "(bookworm)", " 22."])],
    ),
    row("SBD-002", "the agents come pinned from npm", &[AGENTS, ask("origin.lock")]),
    row("SBD-003", "claude-code is claude, codex-cli codex, gemini-cli gemini, opencode opencode", &[AGENTS]),
    row(
        "SBD-004",
        "user iteron (1000:1000), tini as process 1, bash by default",
        &[
            ask("closure.user").seen(&["iteron (1000:1000)"]),
            ask("closure.commands").seen(&["/tini`"]),
            USER,
            ask("run.init").seen(&["`tini`"]),
            ask("run.start").seen(&["`bash`"]),
        ],
    ),
    row(
        "SBD-005",
        "no set-id bits; configurations of agents and tmux",
        &[
            SET_ID,
            ask("agents.config").seen(&[
                ".claude.json",
                ".claude/settings.json",
                ".codex/config.toml",
                ".gemini/settings.json",
                ".config/opencode/opencode.json",
                ".tmux.conf",
            ]),
        ],
    ),
    row("SBD-006", "native builds are images", BUILT),
    row(
        "SBD-007",
        "published for amd64 and arm64 in one index",
        &[ask("oci.documents").seen(&["linux/amd64", "linux/arm64"])],
    )
    .on(On::Whole),
    row(
        "SBD-008",
        "at most 700 MiB of compressed layers on each platform",
        &[ask("size.budget").most(700 << 20)],
    ),
];
