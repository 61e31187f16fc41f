"""Writes the test vectors of this folder; see README.md."""
import io
import pathlib
import struct

import imagecodecs as ic
import jpeg_ls
import numpy as np
from PIL import Image
from pydicom.pixels.encoders.native import _encode_segment

HERE = pathlib.Path(__file__).parent
ROWS, COLUMNS = 19, 27
LINES = []

JPEG, JPEG_12 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
LOSSLESS, PROGRESSIVE = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.55"
JLS, JLS_NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
J2K, J2K_LOSSY = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
HT, HT_LOSSY = "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.203"
JXL, JXL_JPEG, JXL_LOSSY = "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112"
RLE = "1.2.840.10008.1.2.5"


def pattern(bits, samples=1, signed=False):
    """Flat areas, noise and ramps, reaching both ends of the range."""
    y, x, c = np.mgrid[0:ROWS, 0:COLUMNS, 0:samples].astype(np.int64)
    top = (1 << bits) - 1
    noise = (x * 7919 + y * 104729 + x * y * 31 + c * 1009) * 2654435761 % (top + 1)
    ramp = (x + 2 * y + c * 5) * top // (COLUMNS + 2 * ROWS + 15)
    value = np.where((x // 9 + y // 7) % 3 == 0, noise, np.where((x // 9 + y // 7) % 3 == 1, top // 3, ramp))
    value[0, 0], value[-1, -1] = 0, top
    if signed:
        value -= 1 << (bits - 1)
    kind = np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2 if bits <= 16 else 4}")
    return (value if samples > 1 else value[..., 0]).astype(kind)


def smooth(bits, samples=1):
    """Something a lossy encoder is made for."""
    y, x, c = np.mgrid[0:ROWS, 0:COLUMNS, 0:samples].astype(float)
    value = 0.5 + 0.3 * np.sin(x / 4 + c) * np.cos(y / 5) + 0.15 * np.sin(x * y / 40 - c)
    value = np.clip(value, 0, 1) * ((1 << bits) - 1)
    return (value if samples > 1 else value[..., 0]).astype(np.uint8 if bits <= 8 else np.uint16)


def within(bits, decoded):
    """What a lossy codec of more bits has put beyond the end of the range belongs at its end."""
    assert decoded.max() >> bits, "nothing lies beyond"
    return np.minimum(decoded, (1 << bits) - 1)


def add(name, syntax, data, decoded, stored, interpretation, becomes=None, tolerance=0):
    decoded = np.ascontiguousarray(decoded)
    samples = decoded.shape[2] if decoded.ndim == 3 else 1
    signed = int(decoded.dtype.kind == "i")
    allocated = decoded.dtype.itemsize * 8
    (HERE / f"{name}.bin").write_bytes(bytes(data))
    (HERE / f"{name}.raw").write_bytes(decoded.astype(decoded.dtype.newbyteorder("<")).tobytes())
    LINES.append(f"{name} {syntax} {samples} {allocated} {stored} {signed} {interpretation} "
                 f"{becomes or interpretation} {tolerance}")


def pillow(array, **options):
    out = io.BytesIO()
    Image.fromarray(array).save(out, "JPEG", **options)
    return out.getvalue()


def undo(data, mode=None):
    image = Image.open(io.BytesIO(data))
    if mode:
        image.draft(mode, image.size)
    return np.asarray(image)


def segments(data):
    """Marker segments of a JPEG, the scan's entropy-coded data with its header."""
    at, found = 2, []
    while data[at + 1] != 0xD9:
        length = struct.unpack(">H", data[at + 2:at + 4])[0]
        end = at + 2 + length
        if data[at + 1] == 0xDA:
            while not (data[end] == 0xFF and data[end + 1] not in (0, *range(0xD0, 0xD8))):
                end += 1
        found.append((data[at + 1], data[at:end]))
        at = end
    return found


def one_scan_a_component():
    """A 4:2:0 JPEG whose components have a scan each, spliced from three grey JPEGs."""
    full = smooth(8, 3)
    parts = [full[..., 0], full[::2, ::2, 1], full[::2, ::2, 2]]
    coded = [segments(pillow(np.ascontiguousarray(part), quality=90)) for part in parts]
    tables = b"".join(body for marker, body in coded[0] if marker in (0xDB, 0xC4))
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, ROWS, COLUMNS, 3) + bytes(
        [1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0])
    scans = b""
    for number, part in enumerate(coded, 1):
        scan = next(body for marker, body in part if marker == 0xDA)
        scans += scan[:5] + bytes([number]) + scan[6:]
    return b"\xff\xd8" + tables + frame + scans + b"\xff\xd9"


def jpeg():
    grey, colour = smooth(8), smooth(8, 3)
    data = pillow(grey, quality=85)
    add("jpeg_8_grey", JPEG, data, undo(data), 8, "MONOCHROME2")
    for name, sampling in [("444", 0), ("422", 1), ("420", 2)]:
        data = pillow(colour, quality=90, subsampling=sampling, restart_marker_blocks=2)
        add(f"jpeg_8_{name}", JPEG, data, undo(data, "YCbCr"), 8, "YBR_FULL_422", "YBR_FULL")
        data = pillow(colour, quality=90, subsampling=sampling, progressive=True)
        add(f"jpeg_8_{name}_progressive", PROGRESSIVE, data, undo(data, "YCbCr"), 8, "YBR_FULL_422", "YBR_FULL")
    data = pillow(colour, quality=90, keep_rgb=True)
    add("jpeg_8_rgb", JPEG, data, undo(data), 8, "RGB")
    data = one_scan_a_component()
    add("jpeg_8_scans", JPEG, data, undo(data, "YCbCr"), 8, "YBR_FULL_422", "YBR_FULL")
    data = ic.jpeg8_encode(smooth(12), level=90, bitspersample=12)
    add("jpeg_12_grey", JPEG_12, data, ic.jpeg8_decode(data), 12, "MONOCHROME2")
    data = ic.jpeg8_encode(pattern(10), level=90, bitspersample=12)
    add("jpeg_10_of_12", JPEG_12, data, within(10, ic.jpeg8_decode(data)), 10, "MONOCHROME2")
    for predictor in range(1, 8):
        array = pattern(16)
        data = ic.jpeg8_encode(array, lossless=True, predictor=predictor, bitspersample=16)
        add(f"jpeg_lossless_16_p{predictor}", LOSSLESS, data, array, 16, "MONOCHROME2")
    for bits in (8, 12):
        array = pattern(bits)
        data = ic.jpeg8_encode(array, lossless=True, predictor=1, bitspersample=bits)
        add(f"jpeg_lossless_{bits}", LOSSLESS, data, array, bits, "MONOCHROME2")
    array = pattern(8, 3)
    data = ic.jpeg8_encode(array, lossless=True, predictor=4, bitspersample=8, colorspace="rgb", outcolorspace="rgb")
    add("jpeg_lossless_rgb", LOSSLESS, data, array, 8, "RGB")


def jpeg_lossless_standard():
    for bits in (8, 16):
        array = pattern(bits)
        add(f"jls_{bits}", JLS, jpeg_ls.encode_array(array), array, bits, "MONOCHROME2")
    array = pattern(16, signed=True)
    add("jls_16_signed", JLS, jpeg_ls.encode_array(array.view(np.uint16)), array, 16, "MONOCHROME2")
    array = pattern(12)
    add("jls_12", JLS, jpeg_ls.encode_array(array), array, 12, "MONOCHROME2")
    for near in (1, 3, 10):
        data = jpeg_ls.encode_array(pattern(8), lossy_error=near)
        add(f"jls_near_{near}", JLS_NEAR, data, ic.jpegls_decode(bytes(data)), 8, "MONOCHROME2")
    data = jpeg_ls.encode_array(pattern(16), lossy_error=5)
    add("jls_near_16", JLS_NEAR, data, ic.jpegls_decode(bytes(data)), 16, "MONOCHROME2")
    data = jpeg_ls.encode_buffer(pattern(12).tobytes(), ROWS, COLUMNS, 1, 16, 3, 0)
    add("jls_near_12_of_16", JLS_NEAR, data, within(12, ic.jpegls_decode(bytes(data))), 12, "MONOCHROME2")
    array = pattern(8, 3)
    # CharLS takes and gives colour by pixel for both interleaved modes.
    orders = [np.ascontiguousarray(array.transpose(2, 0, 1)), array, array]
    for mode, ordered in enumerate(orders):
        for near in (0, 2):
            data = jpeg_ls.encode_buffer(ordered.tobytes(), ROWS, COLUMNS, 3, 8, near, mode)
            plain = np.frombuffer(jpeg_ls.decode_buffer(data)[0], np.uint8).reshape(ordered.shape)
            decoded = plain.transpose(1, 2, 0) if mode == 0 else plain
            assert np.abs(decoded.astype(int) - array).max() <= near
            add(f"jls_rgb_mode_{mode}_near_{near}", JLS_NEAR if near else JLS, data, decoded, 8, "RGB")


def jpeg_2000():
    for bits, signed in [(8, False), (12, False), (16, False), (12, True), (16, True)]:
        array = pattern(bits, signed=signed)
        name = f"j2k_{bits}{'_signed' if signed else ''}"
        data = ic.jpeg2k_encode(array, codecformat="j2k", reversible=True, bitspersample=bits)
        assert (ic.jpeg2k_decode(data) == array).all()
        add(name, J2K, data, array, bits, "MONOCHROME2")
    array = pattern(20).astype(np.uint32)
    data = ic.jpeg2k_encode(array, codecformat="j2k", reversible=True, bitspersample=20)
    add("j2k_20", J2K, data, array, 20, "MONOCHROME2")
    array = pattern(8, 3)
    data = ic.jpeg2k_encode(array, codecformat="j2k", reversible=True, mct=True)
    add("j2k_rgb", J2K, data, array, 8, "YBR_RCT", "RGB")
    data = ic.jpeg2k_encode(array, codecformat="j2k", reversible=True, mct=False)
    add("j2k_rgb_plain", J2K, data, array, 8, "RGB")
    array = pattern(16)
    data = ic.jpeg2k_encode(array, codecformat="jp2", reversible=True, resolutions=2)
    add("j2k_boxes", J2K, data, array, 16, "MONOCHROME2")
    for name, array in [("grey", smooth(12)), ("rgb", smooth(8, 3))]:
        interpretation = "MONOCHROME2" if array.ndim == 2 else "YBR_ICT"
        becomes = "MONOCHROME2" if array.ndim == 2 else "RGB"
        bits = 12 if array.ndim == 2 else 8
        data = ic.jpeg2k_encode(array, level=35, codecformat="j2k", reversible=False, bitspersample=bits)
        add(f"j2k_lossy_{name}", J2K_LOSSY, data, ic.jpeg2k_decode(data), bits, interpretation, becomes, 1)
    data = ic.jpeg2k_encode(pattern(12), level=45, codecformat="j2k", reversible=False, bitspersample=16)
    add("j2k_lossy_12_of_16", J2K_LOSSY, data, within(12, ic.jpeg2k_decode(data)), 12, "MONOCHROME2", None, 1)
    for bits, signed, samples in [(8, False, 1), (16, False, 1), (16, True, 1), (8, False, 3)]:
        array = pattern(bits, samples, signed)
        name = f"htj2k_{bits}{'_signed' if signed else ''}{'_rgb' if samples == 3 else ''}"
        data = ic.htj2k_encode(array, reversible=True)
        assert (ic.htj2k_decode(data) == array).all()
        becomes = "MONOCHROME2" if samples == 1 else "RGB"
        add(name, HT, data, array, bits, "MONOCHROME2" if samples == 1 else "YBR_RCT", becomes)
    array = smooth(8)
    data = ic.htj2k_encode(array, level=0.002, reversible=False)
    add("htj2k_lossy", HT_LOSSY, data, ic.htj2k_decode(data), 8, "MONOCHROME2", None, 2)


def jpeg_xl():
    for bits in (8, 12, 16):
        array = pattern(bits)
        data = ic.jpegxl_encode(array, lossless=True, bitspersample=bits)
        add(f"jxl_{bits}", JXL, data, array, bits, "MONOCHROME2")
    array = pattern(8, 3)
    data = ic.jpegxl_encode(array, lossless=True, usecontainer=True)
    add("jxl_rgb_container", JXL, data, array, 8, "RGB")
    for name, array in [("grey", smooth(8)), ("rgb", smooth(8, 3))]:
        data = ic.jpegxl_encode(array, distance=1.0)
        interpretation = "MONOCHROME2" if array.ndim == 2 else "XYB"
        becomes = "MONOCHROME2" if array.ndim == 2 else "RGB"
        add(f"jxl_lossy_{name}", JXL_LOSSY, data, ic.jpegxl_decode(data), 8, interpretation, becomes, 2)
    for name, array in [("grey", smooth(8)), ("rgb", smooth(8, 3))]:
        options = {} if array.ndim == 2 else {"subsampling": 2}
        data = ic.jpegxl_encode_jpeg(pillow(array, quality=90, **options))
        interpretation = "MONOCHROME2" if array.ndim == 2 else "YBR_FULL_422"
        becomes = "MONOCHROME2" if array.ndim == 2 else "RGB"
        add(f"jxl_jpeg_{name}", JXL_JPEG, data, ic.jpegxl_decode(data), 8, interpretation, becomes, 2)


def rle():
    for name, array in [("16", pattern(16)), ("rgb", pattern(8, 3))]:
        planes = array.reshape(ROWS, COLUMNS, -1)
        width = array.dtype.itemsize
        coded = []
        for sample in range(planes.shape[2]):
            cells = np.ascontiguousarray(planes[..., sample]).view(np.uint8).reshape(ROWS, COLUMNS, width)
            for byte in reversed(range(width)):
                coded.append(bytes(_encode_segment(cells[..., byte].tobytes(), COLUMNS)))
        offsets, at = [], 64
        for segment in coded:
            offsets.append(at)
            at += len(segment)
        head = struct.pack("<16I", len(coded), *offsets, *[0] * (15 - len(offsets)))
        add(f"rle_{name}", RLE, head + b"".join(coded), array, array.dtype.itemsize * 8,
            "MONOCHROME2" if name == "16" else "RGB")


for old in [*HERE.glob("*.bin"), *HERE.glob("*.raw")]:
    old.unlink()
jpeg()
jpeg_lossless_standard()
jpeg_2000()
jpeg_xl()
rle()
(HERE / "vectors.txt").write_text(
    "# name, transfer syntax, samples per pixel, bits allocated, bits stored, pixel representation,\n"
    "# photometric interpretation, the same after decoding, largest difference allowed\n"
    + "\n".join(LINES) + "\n")
