//! Segmentations at other people's tools.

use std::process::Command;

use dokuei_phantom::{DicomIdentity, PhantomSpec, to_dicom};
use dokuei_tests::{Node, Storescp, dokuei, dokuei_ending, pydicom, run, tool};
use tempfile::tempdir;

use crate::radiographs::to_pacs_wanting;

/// Reads a segmentation, by highdicom too where that is installed, and compares it with the outlines of the presentation
/// state: the pixels whose centres they hold, and whose they are. Prints how many are marked.
const COMPARE: &str = r#"
import sys
import numpy, pydicom
objects = {d.Modality: d for d in map(pydicom.dcmread, sys.argv[1:])}
seg, pr = objects["SEG"], objects["PR"]
marked = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
assert len(marked) == 1 and len(seg.SegmentSequence) == 1, marked.shape
outlines = [g for a in pr.GraphicAnnotationSequence for g in a.GraphicObjectSequence]
y, x = numpy.mgrid[0:seg.Rows, 0:seg.Columns] + 0.5
expected = numpy.zeros((seg.Rows, seg.Columns), bool)
for outline in outlines:
    points = numpy.array(outline.GraphicData, float).reshape(-1, 2)
    inside = numpy.zeros_like(expected)
    for (x0, y0), (x1, y1) in zip(points[:-1], points[1:]):
        if y0 != y1:
            inside ^= ((y0 <= y) != (y1 <= y)) & (x >= x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    expected |= inside
assert (marked[0] == expected).all(), (marked[0] != expected).sum()
frame = seg.PerFrameFunctionalGroupsSequence[0]
source = frame.DerivationImageSequence[0].SourceImageSequence[0]
drawn = pr.ReferencedSeriesSequence[0].ReferencedImageSequence[0]
assert source.ReferencedSOPInstanceUID == drawn.ReferencedSOPInstanceUID
tracked = seg.SegmentSequence[0].get("TrackingUID")
assert tracked == (outlines[0].TrackingUID if len(outlines) == 1 else None)
try:
    import highdicom
    read = highdicom.seg.Segmentation.from_dataset(seg)
    pixels = read.get_pixels_by_source_instance([source.ReferencedSOPInstanceUID])
    assert (pixels[0, :, :, 0] == expected).all()
except ImportError:
    pass
print(marked.sum())
"#;

#[test]
fn other_toolkits_see_the_pixels_that_the_outlines_hold() {
    let (Some(python), Some(dcmdump)) = (pydicom(), tool("dcmdump")) else { return };
    let folder = tempdir().unwrap();
    let Some(pacs) = Storescp::start(&folder.path().join("pacs")) else { return };
    let config = to_pacs_wanting("PACS", pacs.port, &["sr", "pr", "seg"]);
    let mut node = Node::start(&folder.path().join("node"), &config);
    // Rows that do not end with a byte.
    let radiograph = PhantomSpec::from_seed(1, true).with_size(403, 321).render();
    let path = folder.path().join("image.dcm");
    std::fs::write(&path, to_dicom(&radiograph, &DicomIdentity::of(&radiograph))).unwrap();
    let sent = dokuei(&["send", &format!("127.0.0.1:{}", node.port), path.to_str().unwrap()]);
    node.wait_until_settled(1);

    let output = run(Command::new(python).args(["-c", COMPARE]).args(pacs.files()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let marked: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    assert!(marked > 100, "{marked} pixels\n{sent}");
    for file in pacs.files() {
        let output = run(Command::new(&dcmdump).arg("-q").arg(&file));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", file.display());
    }
    let shown = dokuei(&["show", "1", "--data-dir", node.data_dir().to_str().unwrap()]);
    assert!(shown.contains(&format!("  1 Pneumonia: {marked} pixels in 1 frame\n")), "{shown}");
    let of_files = pacs.files().into_iter().map(|file| dokuei_ending(&["show", file.to_str().unwrap()]).1);
    let first = "Segmentation (binary, research), 321 rows, 403 columns\n";
    assert!(of_files.into_iter().any(|text| text.starts_with(first)));
}
