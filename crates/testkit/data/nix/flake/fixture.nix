let
  drv = name: extra: text: derivation ({
    inherit name;
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-euc" "export PATH=/usr/bin:/bin LC_ALL=C; umask 022\n${text}" ];
  } // extra);
in rec {
  # No references. bin/hello is a 178-byte static ELF for Linux x86-64 that
  # writes one line and exits 0.
  hello = drv "tiny-hello-1.0" { } ''
    mkdir -p $out/bin
    echo f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAAeABAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAEAAOAABAAAAAAAAAAEAAAAFAAAAAAAAAAAAAAAAAEAAAAAAAAAAQAAAAAAAsgAAAAAAAACyAAAAAAAAAAAQAAAAAAAAuAEAAAC/AQAAAEiNNRAAAAC6GQAAAA8FuDwAAAAx/w8FaGVsbG8gZnJvbSB0aGUgbml4IHN0b3JlCg== | base64 -d >$out/bin/hello
    chmod 755 $out/bin/hello
  '';

  # No references: every odd file kind a NAR can hold.
  odd = drv "tiny-odd-1.0" { } ''
    mkdir -p $out/empty-dir $out/lib $out/names $out/len $out/deep
    : >$out/empty-file
    printf x >$out/lib/libodd.so.1.2; ln -s libodd.so.1.2 $out/lib/libodd.so.1; ln -s libodd.so.1 $out/lib/libodd.so
    ln -s /does/not/exist $out/lib/dangling
    ln -s . $out/lib/self
    printf '#!/bin/sh\n' >$out/lib/executable; chmod 755 $out/lib/executable
    : >$out/lib/empty-executable; chmod 755 $out/lib/empty-executable
    # sorted bytewise, not by locale; two names differ only in case
    for n in README readme a-b a.b a_b ab 'with space' .hidden -dash 'a"b' "a'b" 'a\b' '#hash' '%41' 'größe-日本語-😀.txt'; do printf '%s' "$n" >"$out/names/$n"; done
    printf '%s' tab >"$out/names/$(printf 'tab\there')"
    printf '%s' newline >"$out/names/$(printf 'new\nline')"
    # every padding length, and sizes about tar's block of 512
    for i in 1 2 3 4 5 6 7 8 9 511 512 513; do head -c $i /dev/zero | tr '\0' x >$out/len/$i; done
    # beyond ustar: names over 100 and 255 bytes, a link target over 100
    d=$out/deep; for i in 1 2 3 4; do d=$d/dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd; mkdir $d; done
    printf deep >$d/file
    f=nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn; printf long >$out/$f$f$f
    ln -s $f$f$f $out/long-link
    seq 1 150000 >$out/big
  '';

  # Refers to itself and to odd; has a text file with a reference in it.
  lib = drv "tiny-lib-1.0" { inherit odd; } ''
    mkdir -p $out/lib $out/etc
    ln -s $odd/lib/libodd.so $out/lib/libodd.so
    echo "prefix=$out" >$out/etc/lib.conf
  '';

  # A script whose interpreter is another store path: runs with no shell.
  greet = drv "tiny-greet-1.0" { inherit hello lib; } ''
    mkdir -p $out/bin $out/share/doc
    printf '#!%s/bin/hello\n' $hello >$out/bin/greet; chmod 755 $out/bin/greet
    echo "lib: $lib/lib" >$out/share/doc/greet.txt
  '';

  # Two outputs; dev refers to out. Only dev is a root: out comes by closure.
  multi = drv "tiny-multi-1.0" { outputs = [ "out" "dev" ]; inherit hello; } ''
    mkdir -p $out/bin $dev/include
    ln -s $hello/bin/hello $out/bin/multi
    echo "/* $out */" >$dev/include/multi.h
  '';

  # Store paths that are not directories.
  file = drv "tiny-file" { inherit hello; } ''echo "see $hello" >$out'';
  exec = drv "tiny-exec" { inherit hello; } ''printf '#!%s/bin/hello\n' $hello >$out; chmod 755 $out'';
  link = drv "tiny-link" { inherit greet; } ''ln -s $greet/bin/greet $out'';

  # Content-addressed: CA: text:sha256:... (with a reference) and
  # CA: fixed:r:sha256:... (a source tree); these carry no deriver.
  text = builtins.toFile "tiny-text" "text with ${source}\n";
  source = builtins.path { path = ./src; name = "tiny-source"; };

  # A profile, as buildEnv makes it: links into the packages.
  env = drv "tiny-env" { inherit hello greet lib; multi = multi.out; } ''
    mkdir -p $out/bin $out/share
    ln -s $hello/bin/hello $out/bin/hello
    ln -s $greet/bin/greet $out/bin/greet
    ln -s $multi/bin/multi $out/bin/multi
    ln -s $lib/lib $lib/etc $out/
    ln -s $greet/share/doc $out/share/doc
  '';
  dev = multi.dev;
}
