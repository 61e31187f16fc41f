use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dokuei_types::Uid;

use crate::data_set::Dataset;
use crate::read::{Header, Limits, ReadError, read_header};
use crate::read_at::ReadAt;
use crate::write::write_dataset;
use crate::{EXPLICIT_VR_BIG_ENDIAN, Encoding, Value};

/// Implementation Class UID (0002,0012) of this product, in the UUID-derived root (PS3.5 § B.2).
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.16146497110898009705491622097536126140";

/// Implementation Version Name (0002,0013) of this product, at most 16 characters.
pub const IMPLEMENTATION_VERSION_NAME: &str = concat!("DOKUEI_", env!("CARGO_PKG_VERSION"));

/// The File Meta Information goes in front of a data set (PS3.10 § 7.1).
#[derive(Debug, Clone)]
pub struct MetaFields<'a> {
    /// SOP Class UID of the instance.
    pub sop_class: &'a str,
    /// SOP Instance UID of the instance.
    pub sop_instance: &'a str,
    /// Transfer syntax of the data set that follows.
    pub transfer_syntax: &'a str,
    /// Source Application Entity Title (0002,0016).
    pub source_ae: Option<&'a str>,
    /// Sending Application Entity Title (0002,0017).
    pub sending_ae: Option<&'a str>,
    /// Receiving Application Entity Title (0002,0018).
    pub receiving_ae: Option<&'a str>,
}

/// Preamble, prefix and group 0002, to be followed by the data set's bytes.
#[must_use]
pub fn file_meta(fields: &MetaFields) -> Vec<u8> {
    let mut meta = Dataset::new();
    meta.put_bytes(tags::FILE_META_INFORMATION_VERSION, VR::OB, [0, 1]);
    meta.put_text(tags::MEDIA_STORAGE_SOP_CLASS_UID, VR::UI, fields.sop_class);
    meta.put_text(tags::MEDIA_STORAGE_SOP_INSTANCE_UID, VR::UI, fields.sop_instance);
    meta.put_text(tags::TRANSFER_SYNTAX_UID, VR::UI, fields.transfer_syntax);
    meta.put_text(tags::IMPLEMENTATION_CLASS_UID, VR::UI, IMPLEMENTATION_CLASS_UID);
    meta.put_text(tags::IMPLEMENTATION_VERSION_NAME, VR::SH, IMPLEMENTATION_VERSION_NAME);
    let titles = [
        (tags::SOURCE_APPLICATION_ENTITY_TITLE, fields.source_ae),
        (tags::SENDING_APPLICATION_ENTITY_TITLE, fields.sending_ae),
        (tags::RECEIVING_APPLICATION_ENTITY_TITLE, fields.receiving_ae),
    ];
    for (tag, title) in titles {
        if let Some(title) = title {
            meta.put_text(tag, VR::AE, title);
        }
    }
    let group = write_dataset(&meta, Encoding::ExplicitLittle);
    let mut length = Dataset::new();
    length.put_u32(tags::FILE_META_INFORMATION_GROUP_LENGTH, &[u32::try_from(group.len()).unwrap_or(u32::MAX)]);

    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    file.extend_from_slice(&write_dataset(&length, Encoding::ExplicitLittle));
    file.extend_from_slice(&group);
    file
}

/// What the File Meta Information says, or the data set where it does not.
#[derive(Debug, Clone)]
pub struct FileMeta {
    /// Media Storage SOP Class UID, or the data set's where there is no meta information.
    pub sop_class: Option<Uid>,
    /// Media Storage SOP Instance UID, or the data set's where there is no meta information.
    pub sop_instance: Option<Uid>,
    /// The data set's transfer syntax.
    pub transfer_syntax: String,
    /// First byte of the data set.
    pub data_set_offset: u64,
}

/// Reads a file up to its pixel data (PS3.10 § 7). Files without preamble or without meta information, as
/// old tools write them, are read as the data set they hold.
///
/// # Errors
/// [`ReadError::NotDicom`] when nothing looks like a data set; the rest as [`read_header`].
pub fn read_file(file: &dyn ReadAt, limits: &Limits) -> Result<(FileMeta, Header), ReadError> {
    let mut meta = read_file_meta(file, limits)?;
    let header = read_header(file, meta.data_set_offset, &meta.transfer_syntax, limits)?;
    meta.sop_class = meta.sop_class.or_else(|| header.dataset.uid(tags::SOP_CLASS_UID));
    meta.sop_instance = meta.sop_instance.or_else(|| header.dataset.uid(tags::SOP_INSTANCE_UID));
    Ok((meta, header))
}

/// Reads a file's meta information alone (PS3.10 § 7.1), whatever the data set behind it is like. The UIDs are
/// `None` where it does not say them.
///
/// # Errors
/// As [`read_file`], but for what is wrong with the data set.
pub fn read_file_meta(file: &dyn ReadAt, limits: &Limits) -> Result<FileMeta, ReadError> {
    let mut head = [0; 132];
    let has_prefix = file.size() >= 132 && {
        read(file, &mut head, 0)?;
        head.ends_with(b"DICM")
    };
    let start = if has_prefix { 132 } else { 0 };
    let mut meta = read_meta(file, start, limits)?;
    let (transfer_syntax, offset) = match (meta.transfer_syntax.take(), has_prefix) {
        (Some(syntax), _) => (syntax, meta.end),
        (None, true) => (guess(file, meta.end)?.unwrap_or(uids::EXPLICIT_VR_LITTLE_ENDIAN).to_owned(), meta.end),
        (None, false) => (guess(file, meta.end)?.ok_or(ReadError::NotDicom)?.to_owned(), meta.end),
    };
    let Meta { sop_class, sop_instance, .. } = meta;
    Ok(FileMeta { sop_class, sop_instance, transfer_syntax, data_set_offset: offset })
}

/// Elements of group 0002 that are read; the standard has fewer than twenty (PS3.10 Table 7.1-1).
const META_ELEMENTS_MAX: usize = 64;

struct Meta {
    sop_class: Option<Uid>,
    sop_instance: Option<Uid>,
    transfer_syntax: Option<String>,
    end: u64,
}

/// Reads group 0002 element by element, since its group length is missing or wrong in practice.
fn read_meta(file: &dyn ReadAt, start: u64, limits: &Limits) -> Result<Meta, ReadError> {
    let mut meta = Dataset::new();
    let mut at = start;
    for _ in 0..META_ELEMENTS_MAX {
        let Some((tag, vr, value_at, length)) = meta_element(file, at)? else { break };
        if length > limits.value_bytes || file.size().saturating_sub(value_at) < length {
            let available = file.size().saturating_sub(value_at);
            return Err(ReadError::Length { tag, offset: value_at, length, available });
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        read(file, &mut bytes, value_at)?;
        meta.put(crate::Element { tag, vr, value: Value::Bytes(bytes) });
        at = value_at + length;
    }
    Ok(Meta {
        sop_class: meta.uid(tags::MEDIA_STORAGE_SOP_CLASS_UID),
        sop_instance: meta.uid(tags::MEDIA_STORAGE_SOP_INSTANCE_UID),
        transfer_syntax: meta.uid(tags::TRANSFER_SYNTAX_UID).as_ref().map(Uid::to_string),
        end: at,
    })
}

/// The group 0002 element at this place, if there is one: tag, VR, where its value is and how long.
fn meta_element(file: &dyn ReadAt, at: u64) -> Result<Option<(Tag, VR, u64, u64)>, ReadError> {
    let mut head = [0; 12];
    if file.size().saturating_sub(at) < 12 {
        return Ok(None);
    }
    read(file, &mut head, at)?;
    let [g0, g1, e0, e1, v0, v1, l0, l1, m0, m1, m2, m3] = head;
    if u16::from_le_bytes([g0, g1]) != 0x0002 {
        return Ok(None);
    }
    let tag = Tag(0x0002, u16::from_le_bytes([e0, e1]));
    Ok(Some(match VR::from_binary([v0, v1]) {
        Some(vr @ (VR::OB | VR::UN | VR::UT)) => (tag, vr, at + 12, u64::from(u32::from_le_bytes([m0, m1, m2, m3]))),
        Some(vr) => (tag, vr, at + 8, u64::from(u16::from_le_bytes([l0, l1]))),
        // Meta information in implicit VR is wrong, and seen.
        None => (tag, crate::vr::dictionary_vr(tag, false), at + 8, u64::from(u32::from_le_bytes([v0, v1, l0, l1]))),
    }))
}

/// The transfer syntax a bare data set seems to be in, by its first element.
fn guess(file: &dyn ReadAt, at: u64) -> Result<Option<&'static str>, ReadError> {
    let mut head = [0; 8];
    if file.size().saturating_sub(at) < 8 {
        return Ok(None);
    }
    read(file, &mut head, at)?;
    let [g0, g1, _, _, v0, v1, l0, l1] = head;
    let explicit = VR::from_binary([v0, v1]).is_some();
    let group = u16::from_le_bytes([g0, g1]);
    let implicit_length = u64::from(u32::from_le_bytes([v0, v1, l0, l1]));
    Ok(match (explicit, group) {
        (true, 0x0800 | 0x0400 | 0x1000) => Some(EXPLICIT_VR_BIG_ENDIAN),
        (true, 0x0004..=0x0020) => Some(uids::EXPLICIT_VR_LITTLE_ENDIAN),
        (false, 0x0004..=0x0020) if implicit_length <= file.size() => Some(uids::IMPLICIT_VR_LITTLE_ENDIAN),
        _ => None,
    })
}

fn read(file: &dyn ReadAt, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
    file.read_exact_at(buf, offset).map_err(|source| ReadError::Read { offset, source })
}
