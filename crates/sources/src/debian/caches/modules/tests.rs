//! Lists against those that the libraries' own programs wrote in real trees of both suites, by digest.

use pinfold_base::Digest;

use super::*;

fn names(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn digest(text: &str) -> String {
    Digest::sha256(text.as_bytes()).to_string()
}

#[test]
fn loaders_are_listed_as_gdk_pixbuf_lists_them() {
    let folder = "/usr/lib/x86_64-linux-gnu/gdk-pixbuf-2.0/2.10.0/loaders";
    let loaders = |more: &str| {
        let more = more.split_whitespace().map(|name| format!("libpixbufloader{name}.so"));
        let all = std::iter::once("io-wmf.so".to_owned()).chain(more);
        all.map(|name| format!("{folder}/{name}")).collect::<Vec<_>>()
    };
    let bookworm = "-ani -avif -bmp -gif -heif -icns -ico -pnm -qtif -svg -tga -tiff -webp -xbm -xpm";
    let listed = pixbuf("2.42.10", &loaders(bookworm));
    assert_eq!(listed.unknown, Vec::<String>::new());
    assert_eq!(
        digest(&listed.text),
        "sha256:92a3110dac3792d9c1738cc956bb9c51cafdc08234a53efbf087841950367f0a"
    );
    let trixie = "-ani -avif -bmp -gif -heif -icns -ico -jxl -pnm -qtif -tga -tiff -webp -xbm -xpm _svg";
    let listed = pixbuf("2.42.12", &loaders(trixie));
    assert_eq!(
        digest(&listed.text),
        "sha256:f0adcdf927ca5c1230c619ab7ab1ab070f2668d3225764b7d89a669dff91ba17"
    );
}

#[test]
fn modules_of_gio_are_listed_as_gio_lists_them() {
    let listed = gio(&names(
        "giomodule.cache libdconfsettings.so libgiognomeproxy.so libgiognutls.so libgiolibproxy.so \
         libgioremote-volume-monitor.so libgvfsdbus.so",
    ));
    assert_eq!(listed.unknown, Vec::<String>::new());
    assert_eq!(
        digest(&listed.text),
        "sha256:8d894c49f85c81f3862ab5c6e3f83a95cea06e76f6514604df6a9b6dd3818848"
    );
}

#[test]
fn input_methods_are_listed_as_gtk_lists_them() {
    let all = "im-am-et.so im-broadway.so im-cedilla.so im-cyrillic-translit.so im-fcitx5.so im-gcin.so im-ibus.so \
               im-inuktitut.so im-ipa.so im-multipress.so im-scim.so im-thai.so im-ti-er.so im-ti-et.so im-uim.so im-viqr.so \
               im-wayland.so im-xim.so";
    let library = "/usr/lib/x86_64-linux-gnu";
    for (package, version, expected) in [
        ("libgtk-3-0", "3.24.38", "sha256:e2814fb28879143e8e4627e074d2520c444086b177e34b98ca4e6057842992b1"),
        (
            "libgtk-3-0t64",
            "3.24.49",
            "sha256:d0b41fc2bc5d5314b816632ed79fb464fd6b8979baf487cf6bcbb51ec947b7f3",
        ),
    ] {
        let program = format!("{library}/{package}/gtk-query-immodules-3.0");
        let listed = input(Gtk::Three, &program, version, library, &names(all));
        assert_eq!(listed.unknown, Vec::<String>::new());
        assert_eq!(digest(&listed.text), expected, "{package}");
    }
}

#[test]
fn a_module_that_is_not_known_is_left_out_and_named() {
    assert_eq!(
        gio(&names("libown.so own.so x.txt")),
        Listed { text: String::new(), unknown: names("libown.so") }
    );
    let listed = pixbuf("1", &names("/a/own.so"));
    assert_eq!(listed.unknown, ["/a/own.so"]);
    assert!(!listed.text.contains("own.so"), "{}", listed.text);
}
