//! The files beside the pages: style, script and icon, embedded, under names that change with their content, so that a
//! browser may keep each for ever.

/// One file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    stem: &'static str,
    extension: &'static str,
    /// Its media type.
    pub media: &'static str,
    /// Its content.
    pub content: &'static str,
}

/// The style of every page.
pub(super) const STYLE: Asset = Asset {
    stem: "page",
    extension: "css",
    media: "text/css; charset=utf-8",
    content: include_str!("../../../assets/page.css"),
};

/// What makes the pages live, and filters: its parts in one, in which nothing is global.
pub(super) const SCRIPT: Asset = Asset {
    stem: "page",
    extension: "js",
    media: "text/javascript; charset=utf-8",
    content: concat!(
        "\"use strict\";\n(() => {\n",
        include_str!("../../../assets/page/look.js"),
        include_str!("../../../assets/page/merge.js"),
        include_str!("../../../assets/page/table.js"),
        include_str!("../../../assets/page/live.js"),
        include_str!("../../../assets/page/start.js"),
        "})();\n"
    ),
};

/// The icon of the tab.
pub(super) const ICON: Asset =
    Asset { stem: "icon", extension: "svg", media: "image/svg+xml", content: include_str!("../../../assets/icon.svg") };

impl Asset {
    /// Its name: with another content it has another one.
    pub fn name(&self) -> String {
        format!("{}-{:016x}.{}", self.stem, fingerprint(self.content.as_bytes()), self.extension)
    }

    /// The file with this name; `None` where it is none, or one of another version.
    pub fn named(name: &str) -> Option<Self> {
        [STYLE, SCRIPT, ICON].into_iter().find(|asset| asset.name() == name)
    }
}

/// FNV-1a with 64 bits: tells versions apart, and guards nothing.
pub(super) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_the_name_of_its_content_alone() {
        assert_eq!(Asset::named(&STYLE.name()), Some(STYLE));
        assert_ne!(STYLE.name(), Asset { content: "body{}", ..STYLE }.name());
        for name in ["page.css", "page-0000000000000000.css", "../page.css", ""] {
            assert_eq!(Asset::named(name), None, "{name}");
        }
    }

    #[test]
    fn nothing_in_them_is_fetched_from_elsewhere() {
        for asset in [STYLE, SCRIPT, ICON] {
            let content = asset.content.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !content.contains("//cdn") && !content.contains("http:") && !content.contains("https:"),
                "{}",
                asset.stem
            );
            assert!(!content.contains("@import") && !content.contains("eval("), "{}", asset.stem);
        }
    }
}
