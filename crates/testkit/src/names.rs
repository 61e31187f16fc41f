/// A person's name as a sender writes it, and as people read it.
#[derive(Debug, Clone, Copy)]
pub struct PersonName {
    /// Specific Character Set (0008,0005); empty where the sender declares none.
    pub set: &'static str,
    /// The name in Unicode.
    pub text: &'static str,
    /// The same in the set, with the escape sequences that code extensions need.
    pub bytes: &'static [u8],
}

/// A name in every character set of PS3.3 C.12.1.1.2. Among them are some whose characters hold the codes of
/// the delimiters: 0x5C in 宮 of JIS X 0208 and in 榎 and 僜 of GBK, 0x5E in 五, 0x3D in 十.
pub const PERSON_NAMES: [PersonName; 23] = [
    PersonName { set: "", text: "Doe^Jane", bytes: b"Doe^Jane" },
    PersonName { set: "ISO_IR 100", text: "Müller^Jörg", bytes: b"M\xfcller^J\xf6rg" },
    PersonName { set: "ISO_IR 101", text: "Dvořák^Zdeněk", bytes: b"Dvo\xf8\xe1k^Zden\xeck" },
    PersonName { set: "ISO_IR 109", text: "Ċaruana^Ġorġ", bytes: b"\xc5aruana^\xd5or\xf5" },
    PersonName { set: "ISO_IR 110", text: "Bērziņš^Jānis", bytes: b"B\xbarzi\xf1\xb9^J\xe0nis" },
    PersonName { set: "ISO_IR 148", text: "Çavuşoğlu^İbrahim", bytes: b"\xc7avu\xfeo\xf0lu^\xddbrahim" },
    PersonName { set: "ISO_IR 203", text: "Lefœvre^Žofie", bytes: b"Lef\xbdvre^\xb4ofie" },
    PersonName {
        set: "ISO_IR 144",
        text: "Люксембург^Роза",
        bytes: b"\xbb\xee\xda\xe1\xd5\xdc\xd1\xe3\xe0\xd3^\xc0\xde\xd7\xd0",
    },
    PersonName {
        set: "ISO_IR 126",
        text: "Διονυσίου^Άννα",
        bytes: b"\xc4\xe9\xef\xed\xf5\xf3\xdf\xef\xf5^\xb6\xed\xed\xe1",
    },
    PersonName {
        set: "ISO_IR 127", text: "قباني^لنزار", bytes: b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1"
    },
    PersonName { set: "ISO_IR 138", text: "שרון^דבורה", bytes: b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4" },
    PersonName {
        set: "ISO_IR 166", text: "นามสกุล^ชื่อ", bytes: b"\xb9\xd2\xc1\xca\xa1\xd8\xc5^\xaa\xd7\xe8\xcd"
    },
    PersonName { set: "ISO_IR 13", text: "ﾔﾏﾀﾞ^ﾀﾛｳ", bytes: b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3" },
    PersonName {
        set: "\\ISO 2022 IR 87",
        text: "Yamada^Tarou=山田^太郎=やまだ^たろう",
        bytes: b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
    },
    PersonName {
        set: "\\ISO 2022 IR 87",
        text: "Miyamoto^Igarashi=宮本^五十嵐=みやもと^いがらし",
        bytes: b"Miyamoto^Igarashi=\x1b$B5\\K\\\x1b(B^\x1b$B8^==Mr\x1b(B=\x1b$B$_$d$b$H\x1b(B^\x1b$B$$$,$i$7\x1b(B",
    },
    PersonName {
        set: "ISO 2022 IR 13\\ISO 2022 IR 87",
        text: "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        bytes: b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
    },
    PersonName {
        set: "\\ISO 2022 IR 87\\ISO 2022 IR 159",
        text: "Mori^Ougai=森^鷗外",
        bytes: b"Mori^Ougai=\x1b$B?9\x1b(B^\x1b$(Dl?\x1b$B30\x1b(B",
    },
    PersonName {
        set: "\\ISO 2022 IR 149",
        text: "Hong^Gildong=洪^吉洞=홍^길동",
        bytes: b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
    },
    PersonName {
        set: "\\ISO 2022 IR 58",
        text: "Zhang^XiaoDong=张^小东",
        bytes: b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
    },
    PersonName {
        set: "GB18030",
        text: "Wang^XiaoDong=王^小东𠮷",
        bytes: b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab\x954\xb25",
    },
    PersonName { set: "GBK", text: "Chen^Rong=榎^僜", bytes: b"Chen^Rong=\x98\\^\x83\\" },
    PersonName {
        set: "ISO 2022 IR 100\\ISO 2022 IR 144",
        text: "Müller^Роза",
        bytes: b"M\xfcller^\x1b-L\xc0\xde\xd7\xd0",
    },
    PersonName {
        set: "ISO_IR 192",
        text: "Wang^XiaoDong=王^小東",
        bytes: b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1",
    },
];
