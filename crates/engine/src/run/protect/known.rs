//! Every name that programs of the host obey in a directory, or run and read there, with who does: one table.
//!
//! **Guarantees**: a name stands here once, and `docs/names.md` lists what is here. It is looked up by its last part ([`Index`]),
//! so that a walk costs the same with many names as with few. Names of agents with a recipe are their recipes'.
//! **Refuses** names of what a forge, a container or another machine obeys: that is not this machine.

use std::collections::HashMap;
use std::path::Path;

/// What is done about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::run) enum Care {
    /// Obeyed without a question, if only in a directory that was trusted once, and in use in many places: kept, and kept from
    /// being made, by an empty directory.
    Always,
    /// Kept, and kept from being made by an empty directory where the directory it belongs in is there.
    Beside,
    /// The same by an empty file: who reads it would fail at a directory.
    BesideFile,
    /// Kept where it is there and told where it is new: its tool is rarer than the empty directory in everybody's way would be,
    /// asks first, or must have been set up to read it.
    Present,
    /// Told: an agent's ordinary work, which what the user has set up runs by itself.
    Told,
    /// Told after all others: nothing runs or reads it before somebody asks for that.
    Used,
}

use Care::Always;
use Care::Beside;
use Care::BesideFile;
use Care::Present;
use Care::Told;
use Care::Used;

/// A name, what is done about it, and who obeys it.
pub(in crate::run) type Known = (&'static str, Care, &'static str);

/// Files that may have any name before the extension, likewise.
pub(in crate::run) const EXTENSIONS: [Known; 2] = [
    ("code-workspace", Present, "Visual Studio Code: tasks and settings of a workspace"),
    ("sublime-project", Present, "Sublime Text: settings, also of language servers, and builds"),
];

/// Files that are scripts and configure a tool have names such as `vite.config.ts` and `.prettierrc.cjs`: they are [`Used`].
const SCRIPTS: [&str; 6] = ["cjs", "cts", "js", "mjs", "mts", "ts"];

/// All of them, by name.
pub(in crate::run) const NAMES: &[Known] = &[
    (".RData", Present, "R: objects at the start, functions too"),
    (".Renviron", Present, "R: variables, also of what is run"),
    (".Rprofile", Present, "R: run at the start"),
    (".agent", Present, "Antigravity: rules, workflows, skills"),
    (".aider.conf.yml", Always, "Aider: commands for tests and lint, files to read"),
    (".aider.model.settings.yml", Present, "Aider: where models are"),
    (".air.toml", Used, "air: commands to build and run"),
    (".amazonq", Present, "Amazon Q: servers of tools, hooks of agents"),
    (".amp", Present, "Amp: servers of tools, permissions"),
    (".arcconfig", Used, "Arcanist: libraries to load"),
    (".arclint", Used, "Arcanist: scripts that lint"),
    (".augment", Present, "Augment: servers of tools, hooks, rules"),
    (".augment-guidelines", Used, "Augment: instructions"),
    (".autoenv", Present, "autoenv: run on entering the directory"),
    (".autoenv.zsh", Present, "zsh-autoenv: run on entering the directory"),
    (".autoenv_leave.zsh", Present, "zsh-autoenv: run on leaving the directory"),
    (".babelrc", Used, "Babel: plugins"),
    (".bazeliskrc", Used, "Bazelisk: which Bazel is fetched and run"),
    (".bazelrc", Used, "Bazel: options, also of programs to run"),
    (".bsp", Present, "Metals and IntelliJ: command of the build server"),
    (".buckconfig", Used, "Buck: tools and options"),
    (".buckconfig.local", Used, "Buck: tools and options"),
    (".bundle/", Used, "Bundler: options and plugins"),
    (".busted", Used, "busted: a Lua file"),
    (".byebugrc", Present, "byebug: commands at the start"),
    (".cargo/config", Used, "Cargo: wrappers, runners, aliases"),
    (".cargo/config.toml", Used, "Cargo: wrappers, runners, aliases"),
    (".clangd", Used, "clangd: compiler and flags"),
    (".claude-plugin", Present, "Claude Code: plugins"),
    (".cline", Present, "Cline: settings and skills"),
    (".clinerules", Present, "Cline: rules and hooks"),
    (".codebuddy", Present, "CodeBuddy: servers of tools, hooks"),
    (".cody", Present, "Cody: commands"),
    (".config/mise", Present, "mise: programs, variables, hooks"),
    (".config/mise.toml", Present, "mise: programs, variables, hooks"),
    (".continue", Always, "Continue: servers of tools, rules"),
    (".continuerc.json", Present, "Continue: settings"),
    (".copilot", Present, "GitHub Copilot: servers of tools, hooks"),
    (".coveragerc", Used, "coverage: plugins"),
    (".crush", Present, "Crush: commands and skills"),
    (".crush.json", Always, "Crush: servers of tools and languages"),
    (".cursor", Always, "Cursor: servers of tools, hooks, rules"),
    (".cursorrules", Used, "Cursor: instructions"),
    (".ddev/", Used, "DDEV: hooks on the host"),
    (".devcontainer", Always, "Visual Studio Code and others: commands on the host"),
    (".devcontainer.json", Present, "Visual Studio Code and others: commands on the host"),
    (".devin", Present, "Devin: rules, hooks"),
    (".dir-locals-2.el", Present, "Emacs: variables and code of a directory"),
    (".dir-locals.el", Present, "Emacs: variables and code of a directory"),
    (".emacs.desktop", Present, "Emacs: a saved session, which is code"),
    (".env", Told, "direnv, Compose, language tools: variables"),
    (".env.local", Told, "language tools: variables"),
    (".envrc", Always, "direnv: run on entering the directory"),
    (".envrc.local", Told, "direnv: often read by `.envrc`"),
    (".envrc.private", Told, "direnv: often read by `.envrc`"),
    (".erlang", Present, "Erlang: run at the start of a shell"),
    (".exrc", Present, "Vim, where `exrc` is set"),
    (".exrc.lua", Present, "Neovim with a plugin for it"),
    (".externalToolBuilders", Present, "Eclipse: programs that build"),
    (".factory", Present, "Factory: servers of tools, hooks"),
    (".flake8", Used, "Flake8: plugins"),
    (".fleet", Present, "Fleet: run configurations"),
    (".flox", Present, "Flox: run on entering the directory"),
    (".forge", Present, "Forge: agents and servers of tools"),
    (".formatter.exs", Used, "Elixir: evaluated by formatter and language server"),
    (".fossil-settings", Present, "Fossil: settings"),
    (".gdbinit", Present, "GDB, where its directory is a safe path"),
    (".ghci", Present, "GHCi: commands at the start"),
    (".git/glab-cli", Present, "GitLab's client: aliases and programs"),
    (".git/lazygit.yml", Present, "lazygit: pager, editor, commands"),
    (".github/agents/", Used, "GitHub Copilot: agents"),
    (".github/chatmodes/", Used, "GitHub Copilot: instructions"),
    (".github/copilot", Present, "GitHub Copilot: settings"),
    (".github/copilot-instructions.md", Used, "GitHub Copilot: instructions"),
    (".github/hooks", Beside, "GitHub Copilot: hooks"),
    (".github/instructions/", Used, "GitHub Copilot: instructions"),
    (".github/lsp.json", Present, "GitHub Copilot: language servers"),
    (".github/mcp.json", Present, "GitHub Copilot: servers of tools"),
    (".github/prompts/", Used, "GitHub Copilot: instructions"),
    (".github/skills/", Used, "GitHub Copilot: instructions"),
    (".gitlint", Told, "gitlint: rules, from a hook"),
    (".gnuplot", Present, "gnuplot: commands at the start"),
    (".golangci.toml", Used, "golangci-lint: plugins"),
    (".golangci.yaml", Used, "golangci-lint: plugins"),
    (".golangci.yml", Used, "golangci-lint: plugins"),
    (".goose", Present, "Goose: extensions and recipes"),
    (".goosehints", Used, "Goose: instructions"),
    (".goreleaser.yaml", Used, "GoReleaser: hooks"),
    (".goreleaser.yml", Used, "GoReleaser: hooks"),
    (".grok", Present, "Grok: servers of tools"),
    (".helix", Present, "Helix: commands of language servers"),
    (".hg/hgrc", BesideFile, "Mercurial, prompts too: hooks and aliases"),
    (".hg/hgrc-not-shared", Present, "Mercurial: hooks and aliases"),
    (".hg/requires", Present, "Mercurial: whether another repository's settings count"),
    (".hg/sharedpath", Present, "Mercurial: which repository's settings count"),
    (".husky", Told, "Git, through husky: hooks"),
    (".huskyrc", Told, "husky: hooks"),
    (".idea", Always, "IntelliJ and others: tasks at the start, programs"),
    (".idx", Present, "Firebase Studio: programs, servers of tools"),
    (".iex.exs", Present, "IEx: run at the start"),
    (".iflow", Present, "iFlow: servers of tools"),
    (".irbrc", Present, "irb: run at the start"),
    (".jdbrc", Present, "jdb: commands at the start"),
    (".jj/repo/config-id", Present, "Jujutsu: which settings count"),
    (".jj/repo/config.toml", Present, "Jujutsu, prompts too: programs and aliases"),
    (".jj/workspace-config-id", Present, "Jujutsu: which settings count"),
    (".jj/workspace-config.toml", Present, "Jujutsu, prompts too: programs and aliases"),
    (".junie", Present, "Junie: servers of tools, guidelines"),
    (".justfile", Used, "just: recipes"),
    (".kateproject", Present, "Kate: commands of language servers"),
    (".kdev4", Present, "KDevelop: programs"),
    (".kilo", Present, "Kilo: servers of tools, rules"),
    (".kilocode", Present, "Kilo: servers of tools, rules"),
    (".kilocodemodes", Present, "Kilo: modes"),
    (".kimi", Present, "Kimi: servers of tools"),
    (".kiro/agents", Present, "Kiro: agents with servers of tools and hooks"),
    (".kiro/hooks", Always, "Kiro: hooks"),
    (".kiro/settings", Always, "Kiro: servers of tools"),
    (".kiro/steering/", Used, "Kiro: instructions"),
    (".latexmkrc", Present, "latexmk, also from editors: a Perl file"),
    (".lazygit.yml", Present, "lazygit: pager, editor, commands"),
    (".lefthook", Told, "Git, through lefthook: hooks"),
    (".lefthook-local.yml", Told, "Git, through lefthook: hooks"),
    (".lefthook.json", Told, "Git, through lefthook: hooks"),
    (".lefthook.toml", Told, "Git, through lefthook: hooks"),
    (".lefthook.yaml", Told, "Git, through lefthook: hooks"),
    (".lefthook.yml", Told, "Git, through lefthook: hooks"),
    (".lintstagedrc", Told, "lint-staged, from a hook: commands"),
    (".lintstagedrc.json", Told, "lint-staged, from a hook: commands"),
    (".lintstagedrc.yaml", Told, "lint-staged, from a hook: commands"),
    (".lintstagedrc.yml", Told, "lint-staged, from a hook: commands"),
    (".lite_project.lua", Present, "Lite XL: run when the project is opened"),
    (".lldbinit", Present, "LLDB, where it may read it"),
    (".local-vimrc", Present, "Vim with a plugin for it"),
    (".local.vimrc", Present, "Vim with a plugin for it"),
    (".lsp", Present, "clojure-lsp: commands for the class path"),
    (".luarc.json", Told, "Lua's language server: plugins"),
    (".luarc.jsonc", Told, "Lua's language server: plugins"),
    (".lvimrc", Present, "Vim with localvimrc"),
    (".mcp.json", Always, "Claude Code, Visual Studio and others: servers of tools"),
    (".merlin", Present, "Merlin: preprocessors"),
    (".mise", Present, "mise: programs, variables, hooks"),
    (".mise.local.toml", Present, "mise: programs, variables, hooks"),
    (".mise.toml", Present, "mise: programs, variables, hooks"),
    (".miserc.toml", Present, "mise: which settings count"),
    (".mocharc.json", Used, "Mocha: files to load"),
    (".mocharc.jsonc", Used, "Mocha: files to load"),
    (".mocharc.yaml", Used, "Mocha: files to load"),
    (".mocharc.yml", Used, "Mocha: files to load"),
    (".mvn/", Used, "Maven: extensions and options"),
    (".mypy.ini", Used, "mypy: plugins"),
    (".neoconf.json", Present, "Neovim with neoconf: settings of language servers"),
    (".nlsp.json", Present, "Neovim: settings of language servers"),
    (".nova", Present, "Nova: tasks"),
    (".npmrc", Used, "npm and pnpm: registries, shell, options of Node.js"),
    (".nvim", Present, "Neovim with a plugin for it"),
    (".nvim.lua", Present, "Neovim, where `exrc` is set"),
    (".nvimrc", Present, "Neovim, where `exrc` is set"),
    (".nvimrc.lua", Present, "Neovim with a plugin for it"),
    (".nycrc", Used, "nyc: files to load"),
    (".nycrc.json", Used, "nyc: files to load"),
    (".ocamlinit", Present, "OCaml: run at the start"),
    (".octaverc", Present, "Octave: run at the start"),
    (".openhands", Present, "OpenHands: scripts, hooks, instructions"),
    (".overcommit.yml", Told, "Git, through Overcommit: hooks"),
    (".p4config", Present, "Perforce: programs, and how servers are reached"),
    (".pants.rc", Used, "Pants: options"),
    (".pdbrc", Present, "pdb: commands at the start"),
    (".pdbrc.py", Present, "pdb++: run at the start"),
    (".pdm-python", Used, "PDM: which Python is run"),
    (".perldb", Present, "Perl's debugger: run at the start"),
    (".php-cs-fixer.dist.php", Used, "PHP CS Fixer: a PHP file"),
    (".php-cs-fixer.php", Used, "PHP CS Fixer: a PHP file"),
    (".pi", Present, "Pi: extensions, which are code"),
    (".pijul/config", Present, "Pijul: hooks"),
    (".pixi/config.toml", Present, "Pixi: what activation runs"),
    (".pkgx.yaml", Used, "pkgx: programs"),
    (".pnpmfile.cjs", Used, "pnpm: run at each install"),
    (".pnpmfile.mjs", Used, "pnpm: run at each install"),
    (".pre-commit-config.yaml", Told, "Git, through pre-commit: hooks"),
    (".pre-commit-config.yml", Told, "Git, through pre-commit: hooks"),
    (".projections.json", Used, "Vim with projectionist: commands"),
    (".prototools", Present, "proto: plugins and programs"),
    (".proverc", Used, "prove: programs and libraries"),
    (".pryrc", Present, "Pry: run at the start"),
    (".psysh.php", Present, "PsySH: run at the start"),
    (".pylintrc", Used, "Pylint, also from editors: plugins and code"),
    (".python-version", Used, "pyenv and uv: which Python is run"),
    (".qoder", Present, "Qoder: servers of tools, rules"),
    (".qwen", Always, "Qwen Code: servers of tools, hooks"),
    (".rdbgrc", Present, "Ruby's debugger: commands at the start"),
    (".rdbgrc.rb", Present, "Ruby's debugger: run at the start"),
    (".reviewboardrc", Used, "RBTools: a Python file"),
    (".roo", Always, "Roo Code: servers of tools, rules"),
    (".roomodes", Present, "Roo Code: modes"),
    (".roorules", Used, "Roo Code: instructions"),
    (".rovodev", Present, "Rovo Dev: servers of tools"),
    (".rspec", Used, "RSpec: files to load"),
    (".rtx.toml", Present, "mise: programs, variables, hooks"),
    (".rubocop.yml", Used, "RuboCop: files to load"),
    (".ruby-lsp", Present, "Ruby's language server: its bundle"),
    (".rules", Used, "Zed and others: instructions"),
    (".run", Present, "IntelliJ and others: run configurations"),
    (".rust-analyzer.toml", Told, "rust-analyzer: commands"),
    (".sbtopts", Used, "sbt: options"),
    (".sdkmanrc", Used, "SDKMAN: programs"),
    (".shadowenv.d", Present, "Shadowenv: run on entering the directory"),
    (".simple-git-hooks.json", Told, "Git, through simple-git-hooks: hooks"),
    (".sl/config", BesideFile, "Sapling, prompts too: hooks and aliases"),
    (".smug.yml", Used, "smug: commands of a session"),
    (".solargraph.yml", Used, "Solargraph: plugins"),
    (".sourcekit-lsp", Present, "Swift's language server: toolsets and flags"),
    (".sqlfluff", Used, "SQLFluff: libraries to load"),
    (".storybook/", Used, "Storybook: scripts"),
    (".tabnine", Present, "Tabnine: servers of tools"),
    (".teamocil.yml", Used, "Teamocil: commands of a session"),
    (".theia", Present, "Theia: tasks and settings"),
    (".tmuxinator.yml", Used, "tmuxinator: commands of a session"),
    (".tmuxp.json", Used, "tmuxp: commands of a session"),
    (".tmuxp.yaml", Used, "tmuxp: commands of a session"),
    (".tool-versions", Told, "asdf and mise: which programs are run, paths too"),
    (".trae", Present, "Trae: servers of tools, rules"),
    (".user.ini", Used, "PHP: files to load"),
    (".vibe", Present, "Mistral Vibe: servers of tools"),
    (".vim", Present, "Vim with coc.nvim: commands of language servers"),
    (".vimrc", Present, "Vim, where `exrc` is set"),
    (".vimspector.json", Used, "Vimspector: programs"),
    (".vs", Present, "Visual Studio: tasks, servers of tools"),
    (".vscode", Always, "Visual Studio Code and others: tasks, settings, servers of tools"),
    (".warp", Present, "Warp: workflows"),
    (".windsurf", Always, "Windsurf: servers of tools, rules"),
    (".windsurfrules", Used, "Windsurf: instructions"),
    (".xcode.env", Used, "Xcode with React Native: read by the build"),
    (".xcode.env.local", Used, "Xcode with React Native: read by the build"),
    (".yarn/plugins/", Used, "Yarn: plugins"),
    (".yarn/releases/", Used, "Yarn: itself"),
    (".yarnrc", Used, "Yarn: which Yarn is run (`yarn-path`)"),
    (".yarnrc.yml", Used, "Yarn: which Yarn is run (`yarnPath`), plugins"),
    (".ycm_extra_conf.py", Present, "YouCompleteMe: a Python file"),
    (".zed", Always, "Zed: tasks, commands of language servers"),
    ("AGENT.md", Used, "Amp and others: instructions"),
    ("AGENTS.md", Used, "many agents: instructions"),
    ("AGENTS.override.md", Used, "Codex: instructions"),
    ("BSDmakefile", Used, "make: rules"),
    ("BUCK", Used, "Buck: rules"),
    ("BUILD", Used, "Bazel: rules"),
    ("BUILD.bazel", Used, "Bazel: rules"),
    ("Berksfile", Used, "Berkshelf: a Ruby file"),
    ("Brewfile", Used, "Homebrew: a Ruby file"),
    ("Build.PL", Used, "Perl: a script that builds"),
    ("CLAUDE.local.md", Used, "Claude Code: instructions"),
    ("CLAUDE.md", Used, "Claude Code: instructions"),
    ("CMakeLists.txt", Used, "CMake: rules"),
    ("CMakePresets.json", Used, "CMake, also from editors: tools and variables"),
    ("CMakeUserPresets.json", Used, "CMake, also from editors: tools and variables"),
    ("CODEBUDDY.md", Used, "CodeBuddy: instructions"),
    ("CONVENTIONS.md", Used, "Aider: instructions"),
    ("CRUSH.md", Used, "Crush: instructions"),
    ("CVS/Root", Present, "CVS: how the server is reached, by a program too"),
    ("Capfile", Used, "Capistrano: a Ruby file"),
    ("Dangerfile", Used, "Danger: a Ruby file"),
    ("Earthfile", Used, "Earthly: rules"),
    ("Fastfile", Used, "fastlane: a Ruby file"),
    ("GEMINI.md", Used, "Gemini CLI: instructions"),
    ("GNUmakefile", Used, "make: rules"),
    ("Gemfile", Used, "Bundler: a Ruby file"),
    ("Gruntfile.coffee", Used, "Grunt: tasks"),
    ("Gruntfile.js", Used, "Grunt: tasks"),
    ("Guardfile", Used, "Guard: a Ruby file"),
    ("IFLOW.md", Used, "iFlow: instructions"),
    ("Jakefile", Used, "Jake: tasks"),
    ("Justfile", Used, "just: recipes"),
    ("MODULE.bazel", Used, "Bazel: rules"),
    ("Makefile", Used, "make: rules"),
    ("Makefile.PL", Used, "Perl: a script that builds"),
    ("Package.swift", Used, "Swift, its language server too: a script"),
    ("Podfile", Used, "CocoaPods: a Ruby file"),
    ("Procfile", Used, "Foreman and others: commands"),
    ("Procfile.dev", Used, "Foreman and others: commands"),
    ("QWEN.md", Used, "Qwen Code: instructions"),
    ("Rakefile", Used, "Rake: tasks"),
    ("SConscript", Used, "SCons: a Python file"),
    ("SConstruct", Used, "SCons: a Python file"),
    ("Setup.hs", Used, "Cabal: a script that builds"),
    ("Snakefile", Used, "Snakemake: rules"),
    ("Steepfile", Used, "Steep: a Ruby file"),
    ("Taskfile.dist.yaml", Used, "Task: tasks"),
    ("Taskfile.dist.yml", Used, "Task: tasks"),
    ("Taskfile.yaml", Used, "Task: tasks"),
    ("Taskfile.yml", Used, "Task: tasks"),
    ("Tiltfile", Used, "Tilt: a script"),
    ("Tupfile", Used, "tup: rules"),
    ("Vagrantfile", Used, "Vagrant: a Ruby file"),
    ("WARP.md", Used, "Warp: instructions"),
    ("WORKSPACE", Used, "Bazel: rules"),
    ("WORKSPACE.bazel", Used, "Bazel: rules"),
    ("_CoqProject", Used, "Rocq: plugins"),
    ("_darcs/prefs/defaults", Present, "Darcs: commands after others"),
    ("_vimrc_local.vim", Present, "Vim with local_vimrc"),
    ("analysis_options.yaml", Used, "Dart's language server: plugins"),
    ("ansible.cfg", Used, "Ansible: plugins"),
    ("artisan", Used, "Laravel: commands"),
    ("bacon.toml", Used, "bacon: commands"),
    ("bb.edn", Used, "Babashka: tasks"),
    ("bin/activate-hermit", Present, "Hermit: run on entering the directory"),
    ("bin/hermit.hcl", Present, "Hermit: programs and variables"),
    ("build.gradle", Used, "Gradle, also from editors: a script"),
    ("build.gradle.kts", Used, "Gradle, also from editors: a script"),
    ("build.mill", Used, "Mill: a script"),
    ("build.rs", Used, "Cargo, also from editors: run before the build"),
    ("build.sbt", Used, "sbt, also from editors: a script"),
    ("build.sc", Used, "Mill: a script"),
    ("build.xml", Used, "Ant: tasks"),
    ("build.zig", Used, "Zig, its language server too: a script"),
    ("bunfig.toml", Used, "Bun: files to load"),
    ("cabal.project", Used, "Cabal: programs"),
    ("cabal.project.local", Used, "Cabal: programs"),
    ("captainhook.json", Told, "Git, through CaptainHook: hooks"),
    ("cog.toml", Told, "Cocogitto: hooks"),
    ("compose.override.yaml", Used, "Compose: what of the host is mounted"),
    ("compose.override.yml", Used, "Compose: what of the host is mounted"),
    ("compose.yaml", Used, "Compose: what of the host is mounted"),
    ("compose.yml", Used, "Compose: what of the host is mounted"),
    ("composer.json", Used, "Composer: scripts and plugins"),
    ("conanfile.py", Used, "Conan: a Python file"),
    ("config.nims", Used, "Nim, its language server too: a script"),
    ("configure", Used, "many: a script that builds begin with"),
    ("conftest.py", Used, "pytest, also from editors: a Python file"),
    ("cpanfile", Used, "Perl: a script"),
    ("crush.json", Always, "Crush: servers of tools and languages"),
    ("default.nix", Used, "Nix, also from `.envrc`"),
    ("deno.json", Used, "Deno: tasks"),
    ("deno.jsonc", Used, "Deno: tasks"),
    ("deps.edn", Used, "Clojure, its language server too: aliases"),
    ("devbox.json", Used, "Devbox, also from `.envrc`: run at the start of a shell"),
    ("devenv.local.nix", Used, "devenv, also from `.envrc`"),
    ("devenv.nix", Used, "devenv, also from `.envrc`"),
    ("devenv.yaml", Used, "devenv, also from `.envrc`"),
    ("docker-compose.override.yaml", Used, "Compose: what of the host is mounted"),
    ("docker-compose.override.yml", Used, "Compose: what of the host is mounted"),
    ("docker-compose.yaml", Used, "Compose: what of the host is mounted"),
    ("docker-compose.yml", Used, "Compose: what of the host is mounted"),
    ("dodo.py", Used, "doit: a Python file"),
    ("dune", Used, "Dune, also from editors: rules"),
    ("dune-project", Used, "Dune, also from editors: rules"),
    ("dune-workspace", Used, "Dune, also from editors: rules"),
    ("fabfile.py", Used, "Fabric: a Python file"),
    ("fastagent.config.yaml", Used, "fast-agent: servers of tools"),
    ("flake.nix", Used, "Nix, also from `.envrc`"),
    ("forge.yaml", Present, "Forge: agents and servers of tools"),
    ("gptme.toml", Present, "gptme: commands for the context, servers of tools"),
    ("gradle.properties", Used, "Gradle: which Java is run, its options"),
    ("gradle/wrapper/", Used, "Gradle: which Gradle is fetched and run"),
    ("gradlew", Used, "Gradle: a script"),
    ("grumphp.yml", Told, "Git, through GrumPHP: hooks"),
    ("gulpfile.cjs", Used, "gulp: tasks"),
    ("gulpfile.js", Used, "gulp: tasks"),
    ("gulpfile.mjs", Used, "gulp: tasks"),
    ("gulpfile.ts", Used, "gulp: tasks"),
    ("hie.yaml", Present, "Haskell's language server: programs that say how to build"),
    ("init.gradle", Used, "Gradle: a script"),
    ("justfile", Used, "just: recipes"),
    ("kilo.json", Present, "Kilo: servers of tools"),
    ("kilo.jsonc", Present, "Kilo: servers of tools"),
    ("lakefile.lean", Used, "Lean, its language server too: a script"),
    ("lakefile.toml", Used, "Lean: rules"),
    ("latexmkrc", Present, "latexmk, also from editors: a Perl file"),
    ("lean-toolchain", Used, "elan: which Lean is run"),
    ("lefthook-local.yaml", Told, "Git, through lefthook: hooks"),
    ("lefthook-local.yml", Told, "Git, through lefthook: hooks"),
    ("lefthook.json", Told, "Git, through lefthook: hooks"),
    ("lefthook.toml", Told, "Git, through lefthook: hooks"),
    ("lefthook.yaml", Told, "Git, through lefthook: hooks"),
    ("lefthook.yml", Told, "Git, through lefthook: hooks"),
    ("magefile.go", Used, "Mage: tasks"),
    ("magefiles/", Used, "Mage: tasks"),
    ("makefile", Used, "make: rules"),
    ("manage.py", Used, "Django: commands"),
    ("meson.build", Used, "Meson: rules"),
    ("mise.local.toml", Present, "mise: programs, variables, hooks"),
    ("mise.toml", Present, "mise: programs, variables, hooks"),
    ("mise/config.local.toml", Present, "mise: programs, variables, hooks"),
    ("mise/config.toml", Present, "mise: programs, variables, hooks"),
    ("mix.exs", Used, "Mix, Elixir's language server too: a script"),
    ("modd.conf", Used, "modd: commands"),
    ("mprocs.yaml", Used, "mprocs: commands"),
    ("mvnw", Used, "Maven: a script"),
    ("mypy.ini", Used, "mypy: plugins"),
    ("nodemon.json", Used, "nodemon: commands"),
    ("noxfile.py", Used, "Nox: a Python file"),
    ("nx.json", Used, "Nx: plugins and tasks"),
    ("package.json", Used, "npm and others: scripts"),
    ("package.json5", Used, "pnpm: scripts"),
    ("package.yaml", Used, "pnpm: scripts"),
    ("pants.toml", Used, "Pants: plugins"),
    ("pdm.toml", Used, "PDM: options"),
    ("phpstan.neon", Used, "PHPStan: files to load"),
    ("phpstan.neon.dist", Used, "PHPStan: files to load"),
    ("phpunit.xml", Used, "PHPUnit: files to load"),
    ("phpunit.xml.dist", Used, "PHPUnit: files to load"),
    ("pinfold.toml", Used, "pinfold: what a sandbox is"),
    ("pixi.toml", Used, "Pixi: tasks and what activation runs"),
    ("pkgx.yaml", Used, "pkgx: programs"),
    ("pnpm-workspace.yaml", Used, "pnpm: packages that configure it"),
    ("poetry.toml", Used, "Poetry: options"),
    ("pom.xml", Used, "Maven, also from editors: plugins"),
    ("prek.toml", Told, "Git, through prek: hooks"),
    ("premake5.lua", Used, "Premake: a script"),
    ("process-compose.yaml", Used, "process-compose: commands"),
    ("project.clj", Used, "Leiningen, Clojure's language server too: a script"),
    ("project/build.properties", Used, "sbt: which sbt is run"),
    ("project/plugins.sbt", Used, "sbt, also from editors: plugins"),
    ("pylintrc", Used, "Pylint, also from editors: plugins and code"),
    ("pyproject.toml", Used, "Python's tools: builds, plugins"),
    ("pytest.ini", Used, "pytest, also from editors: plugins"),
    ("rakefile", Used, "Rake: tasks"),
    ("rebar.config", Used, "Rebar3: hooks and plugins"),
    ("rebar.config.script", Used, "Rebar3: a script"),
    ("renv/activate.R", Present, "R, from `.Rprofile`: run at the start"),
    ("rust-analyzer.toml", Told, "rust-analyzer: commands"),
    ("rust-toolchain", Used, "rustup, also from editors: which Rust is run, paths too"),
    ("rust-toolchain.toml", Used, "rustup, also from editors: which Rust is run, paths too"),
    ("settings.gradle", Used, "Gradle, also from editors: a script"),
    ("settings.gradle.kts", Used, "Gradle, also from editors: a script"),
    ("setup.cfg", Used, "Python's tools: builds, plugins"),
    ("setup.py", Used, "Python: a script that builds"),
    ("shadow-cljs.edn", Used, "shadow-cljs: hooks"),
    ("shell.nix", Used, "Nix, also from `.envrc`"),
    ("simple-git-hooks.json", Told, "Git, through simple-git-hooks: hooks"),
    ("sitecustomize.py", Used, "Python, where the directory is on its path"),
    ("skaffold.yaml", Used, "Skaffold: hooks"),
    ("stack.yaml", Used, "Stack: programs"),
    ("startup.m", Present, "MATLAB and Octave: run at the start"),
    ("taskfile.yaml", Used, "Task: tasks"),
    ("taskfile.yml", Used, "Task: tasks"),
    ("tasks.py", Used, "Invoke: a Python file"),
    ("terragrunt.hcl", Used, "Terragrunt: hooks"),
    ("tools/bazel", Used, "Bazelisk: run instead of Bazel"),
    ("tox.ini", Used, "tox: commands"),
    ("turbo.json", Used, "Turborepo: tasks"),
    ("usercustomize.py", Used, "Python, where the directory is on its path"),
    ("uv.toml", Used, "uv: indexes and options"),
    ("wscript", Used, "Waf: a Python file"),
    ("xmake.lua", Used, "xmake: a script"),
];

/// Whether a file's name is that of a script that configures a tool.
pub(in crate::run) fn is_script_configuration(name: &str) -> bool {
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    let configures = stem.len() > ".config".len() && stem.ends_with(".config")
        || stem.starts_with('.') && stem.len() > ".rc".len() && stem.ends_with("rc");
    configures && SCRIPTS.contains(&extension)
}

/// Names by their last part, to be looked up with paths below any directory.
#[derive(Debug, Default)]
pub(in crate::run) struct Index {
    names: HashMap<String, Vec<(String, Care, Reach)>>,
    /// What further parts of names lie in, such as `.cargo`.
    outer: HashMap<String, Vec<(String, Care)>>,
}

/// What of a path that is one of the names counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// It, and all that lies in it.
    Whole,
    /// It alone: a directory of that name is another thing.
    File,
}

impl Index {
    /// Of all names here and of `more`, which are protected.
    pub(in crate::run) fn new(more: impl IntoIterator<Item = String>) -> Self {
        let mut index = Self::default();
        let known = NAMES.iter().map(|(name, care, _)| ((*name).to_owned(), *care));
        for (name, care) in known.chain(more.into_iter().map(|name| (name, Always))) {
            let reach = if care == Used && !name.ends_with('/') { Reach::File } else { Reach::Whole };
            let name = name.trim_end_matches('/');
            for (end, _) in name.match_indices('/') {
                let part = &name[..end];
                index.outer.entry(last_of(part).to_owned()).or_default().push((part.to_owned(), care));
            }
            index.names.entry(last_of(name).to_owned()).or_default().push((name.to_owned(), care, reach));
        }
        index
    }

    /// What is done about a path that is one of the names, or lies in one, at some place: the strictest.
    pub(in crate::run) fn care(&self, path: &Path) -> Option<Care> {
        let by_name = path.ancestors().enumerate().filter_map(|(above, outer)| {
            let named = self.names.get(outer.file_name()?.to_str()?)?;
            let counts = |(name, _, reach): &&(String, Care, Reach)| {
                (above == 0 || *reach == Reach::Whole) && outer.ends_with(name)
            };
            named.iter().filter(counts).map(|(_, care, _)| *care).min()
        });
        let by_extension = path.extension().and_then(|extension| {
            EXTENSIONS.iter().find(|(known, ..)| extension == *known).map(|(_, care, _)| *care)
        });
        let script = || path.file_name()?.to_str().filter(|name| is_script_configuration(name)).map(|_| Used);
        by_name.chain(by_extension).min().or_else(script)
    }

    /// The same of a path that is none of them, and that others are in: `.cargo`.
    pub(in crate::run) fn leads_through(&self, path: &Path) -> Option<Care> {
        let named = self.outer.get(path.file_name()?.to_str()?)?;
        named.iter().filter(|(name, _)| path.ends_with(name)).map(|(_, care)| *care).min()
    }

    /// Whether what lies in a directory has one of the names by the directory's.
    pub(in crate::run) fn leads_to(&self, path: &Path) -> bool {
        let whole = |path: &Path| {
            let named = self.names.get(path.file_name()?.to_str()?)?;
            Some(named.iter().any(|(name, _, reach)| *reach == Reach::Whole && path.ends_with(name)))
        };
        whole(path) == Some(true) || self.leads_through(path).is_some()
    }
}

fn last_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_by_the_strictest_of_its_names_at_any_depth() {
        let index = Index::new(["deep/mine".to_owned()]);
        for (path, care) in [
            (".vscode", Some(Always)),
            ("a/b/.vscode/tasks.json", Some(Always)),
            ("a/deep/mine/x", Some(Always)),
            ("a/mine", None),
            ("Makefile", Some(Used)),
            ("a/Makefile", Some(Used)),
            // A directory of that name is no file of make's.
            ("Makefile/x", None),
            ("tools/bazel/x.py", None),
            (".mvn/extensions.xml", Some(Used)),
            (".husky/pre-commit", Some(Told)),
            (".husky/package.json", Some(Told)),
            ("x.code-workspace", Some(Present)),
            ("a/x.sublime-project", Some(Present)),
            ("vite.config.ts", Some(Used)),
            ("a/.prettierrc.cjs", Some(Used)),
            (".config.js", None),
            ("rc.js", None),
            (".rc.js", None),
            ("src/config.ts", None),
            ("src/main.c", None),
        ] {
            assert_eq!(index.care(Path::new(path)), care, "{path}");
        }
        for (path, leads) in [
            (".cargo", true),
            ("a/.jj", true),
            ("a/.jj/repo", true),
            (".mvn", true),
            (".vscode", true),
            ("repo", false),
            ("Makefile", false),
            ("src", false),
        ] {
            assert_eq!(index.leads_to(Path::new(path)), leads, "{path}");
        }
    }

    /// What a user reads of a name that was told.
    #[test]
    fn the_page_of_names_says_what_the_table_says() {
        let page = include_str!("../../../../../docs/names.md");
        let (_, written) = page.split_once("| name | who obeys it |\n|---|---|\n").unwrap();
        assert_eq!(written, table(), "write this below the head of the table in `docs/names.md`");
    }

    fn table() -> String {
        let mut text = String::new();
        for (care, title) in [
            (Always, "kept, there or not"),
            (Beside, "kept, and kept from being made where its directory is there"),
            (Present, "kept where it is there, told where it is new"),
            (Told, "told first"),
            (Used, "told after all others"),
        ] {
            text += &format!("| **{title}** | |\n");
            let extensions =
                EXTENSIONS.iter().map(|(extension, care, who)| (format!("*.{extension}"), care, who));
            let names = NAMES.iter().map(|(name, care, who)| ((*name).to_owned(), care, who));
            for (name, its, who) in extensions.chain(names) {
                if *its == care || (care == Beside && *its == BesideFile) {
                    text += &format!("| `{name}` | {who} |\n");
                }
            }
        }
        text
    }
}
