"""Writes tests/reference/formats/ and formats.json: small pictures in odd formats, and PIL's pixels.

python3 scripts/reference/formats.py   (with Pillow, NumPy, and libjpeg-turbo's `jpegtran`)
"""

import base64
import io
import json
import pathlib
import shutil
import struct
import subprocess
import zlib

import numpy
import PIL
from PIL import Image, ImageOps, features

OUT = pathlib.Path(__file__).parents[2] / "tests/reference"
WIDTH, HEIGHT = 19, 13
ORIENTATION = 0x0112


def base():
    """Gradients, an edge, and some noise."""
    y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH]
    noise = numpy.random.default_rng(1).integers(0, 40, (HEIGHT, WIDTH, 3))
    red, green, blue = x * 12, y * 18, numpy.where(x > y, 200, 30)
    return Image.fromarray((numpy.stack([red, green, blue], -1) + noise).clip(0, 255).astype("uint8"))


RGB = base()
ALPHA = Image.fromarray(numpy.arange(WIDTH * HEIGHT, dtype="uint8").reshape(HEIGHT, WIDTH))
RGBA = RGB.copy()
RGBA.putalpha(ALPHA)
GRAY = RGB.convert("L")
CMYK = Image.merge("CMYK", (*RGB.split(), GRAY.point(lambda v: v // 2)))
LA = Image.merge("LA", (GRAY, ALPHA))
WIDE = numpy.asarray(RGB).astype("uint32") * 257 + numpy.arange(WIDTH)[None, :, None] * 11
WIDE = WIDE.clip(0, 65535).astype(">u2")
DIM = (numpy.asarray(GRAY).astype("uint16") * 2)  # around 255, where PIL clips


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation, endian="<"):
    """A TIFF block with one entry."""
    head = b"II*\0" if endian == "<" else b"MM\0*"
    entry = struct.pack(endian + "HHIHH", ORIENTATION, 3, 1, orientation, 0)
    return b"Exif\0\0" + head + struct.pack(endian + "IH", 8, 1) + entry + bytes(4)


def chunk(name, content):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(samples, color, depth, extra=b""):
    """PNG by hand, for what PIL does not write; `samples` are rows of bytes."""
    rows = b"".join(b"\0" + row for row in samples)
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def tiff16(channels):
    """Little-endian uncompressed TIFF with 16 bits per colour."""
    pixels = WIDE[..., :channels].astype("<u2").tobytes()
    bits_at = 8
    pixels_at = bits_at + 2 * channels
    entries = [
        (256, 3, 1, WIDTH), (257, 3, 1, HEIGHT),
        (258, 3, channels, 16 if channels == 1 else bits_at), (259, 3, 1, 1),
        (262, 3, 1, 1 if channels == 1 else 2), (273, 4, 1, pixels_at), (277, 3, 1, channels),
        (278, 3, 1, HEIGHT), (279, 4, 1, len(pixels)),
    ]
    body = struct.pack("<" + "H" * channels, *[16] * channels) + pixels
    body += b"\0" * (len(body) % 2)
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory


def pngs():
    rows16 = lambda a: [row.tobytes() for row in a]
    two_bits = numpy.asarray(GRAY) >> 6
    packed = [bytes(sum(int(v) << (6 - 2 * i) for i, v in enumerate(row[at:at + 4])) for at in range(0, WIDTH, 4)) for row in two_bits]
    alpha16 = numpy.asarray(ALPHA).astype(">u2")[..., None] * 257
    yield "rgb.png", saved(RGB, "PNG")
    yield "rgba.png", saved(RGBA, "PNG")
    yield "gray.png", saved(GRAY, "PNG")
    yield "gray_alpha.png", saved(LA, "PNG")
    yield "bits1.png", saved(RGB.convert("1"), "PNG")
    yield "bits2.png", png(packed, 0, 2)
    yield "palette.png", saved(RGB.quantize(60), "PNG")
    yield "palette4.png", saved(RGB.quantize(13), "PNG", bits=4)
    yield "palette_alpha.png", saved(RGB.quantize(60), "PNG", transparency=bytes(range(60)))
    yield "gray16_dim.png", png(rows16(DIM.astype(">u2")), 0, 16)
    yield "gray16.png", png(rows16(WIDE[..., 0]), 0, 16)
    yield "gray16_alpha.png", png(rows16(numpy.concatenate([WIDE[..., :1], alpha16], -1).astype(">u2")), 4, 16)
    yield "rgb16.png", png(rows16(WIDE), 2, 16)
    yield "rgba16.png", png(rows16(numpy.concatenate([WIDE, alpha16], -1).astype(">u2")), 6, 16)
    yield "gray_key.png", png(rows16(numpy.asarray(GRAY)), 0, 8, chunk(b"tRNS", b"\0\x50"))
    yield "gray16_key.png", png(rows16(DIM.astype(">u2")), 0, 16, chunk(b"tRNS", b"\0\x50"))
    yield "rgb_key.png", png(rows16(numpy.asarray(RGB)), 2, 8, chunk(b"tRNS", b"\0\x50\0\x20\0\x30"))
    yield "exif6.png", saved(RGB, "PNG", exif=exif(6))
    plain, end = saved(RGB, "PNG"), 12
    block = exif(6)[6:]
    yield "no_end.png", plain[:-end]
    yield "exif6_behind.png", plain[:-end] + chunk(b"eXIf", block) + plain[-end:]
    for name in (b"exif", b"APP1"):
        profile = b"\n%s\n%8d\n%s\n" % (name, len(block), block.hex().encode())
        text = b"Raw profile type %s\0" % name
        yield f"profile_{name.decode()}.png", plain[:-end] + chunk(b"tEXt", text + profile) + plain[-end:]


def jpegs():
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="8"/></x:xmpmeta>'
    plain = saved(RGB, "JPEG", quality=88)
    for name, value in (("444", "4:4:4"), ("422", "4:2:2"), ("420", "4:2:0")):
        yield f"s{name}.jpg", saved(RGB, "JPEG", quality=88, subsampling=value)
        yield f"progressive{name}.jpg", saved(RGB, "JPEG", quality=88, subsampling=value, progressive=True)
    yield "gray.jpg", saved(GRAY, "JPEG")
    yield "cmyk.jpg", saved(CMYK, "JPEG", quality=90)
    yield "rgb.jpg", saved(RGB, "JPEG", quality=90, keep_rgb=True)
    yield "restart.jpg", saved(RGB, "JPEG", quality=88, restart_marker_blocks=1)
    for orientation in range(2, 9):
        yield f"exif{orientation}.jpg", saved(RGB, "JPEG", quality=60, exif=exif(orientation))
    yield "exif_big_endian.jpg", saved(RGB, "JPEG", quality=60, exif=exif(6, ">"))
    yield "xmp8.jpg", plain[:2] + b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp + plain[2:]
    yield "behind.jpg", plain + b"bytes behind the picture"
    yield "arithmetic.jpg", subprocess.run(["jpegtran", "-arithmetic"], input=plain, stdout=-1, check=True).stdout
    # Types and counts that the standard does not allow for an orientation.
    block = lambda kind, count, value: tiff({ORIENTATION: (kind, count, value)})
    marker = lambda content: b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    for name, content in (
        ("long", block(4, 1, struct.pack("<I", 6))),
        ("two", block(3, 2, struct.pack("<HH", 6, 1))),
        ("signed", block(8, 1, struct.pack("<h", 6))),
        ("rational", block(5, 1, struct.pack("<II", 12, 2))),
        ("byte", block(1, 1, b"\6")),
    ):
        yield f"exif_{name}.jpg", plain[:2] + marker(b"Exif\0\0" + content) + plain[2:]
    yield "exif0_xmp8.jpg", plain[:2] + marker(exif(0)) + marker(xmp) + plain[2:]


def others():
    yield "lossy.webp", saved(RGB, "WEBP", quality=80)
    yield "lossless.webp", saved(RGB, "WEBP", lossless=True)
    yield "alpha.webp", saved(RGBA, "WEBP", quality=80)
    yield "lossless_alpha.webp", saved(RGBA, "WEBP", lossless=True, exact=True)
    yield "exif6.webp", saved(RGB, "WEBP", quality=80, exif=exif(6))
    yield "animated.webp", saved(RGB, "WEBP", save_all=True, append_images=[RGB.rotate(180)], duration=100, lossless=True)
    yield "rgb.bmp", saved(RGB, "BMP")
    yield "rgba.bmp", saved(RGBA, "BMP")
    yield "gray.bmp", saved(GRAY, "BMP")
    yield "palette.bmp", saved(RGB.quantize(60), "BMP")
    yield "bits1.bmp", saved(RGB.convert("1"), "BMP")
    unmarked = bytearray(saved(RGB, "WEBP", quality=80, exif=exif(6)))
    unmarked[20] &= ~8  # the bit that says that there is EXIF
    yield "exif_unmarked.webp", bytes(unmarked)
    for name, image in (("os2", RGB), ("os2_palette", RGB.quantize(60))):
        windows = saved(image, "BMP")
        offset = struct.unpack("<I", windows[10:14])[0] + 24
        yield f"{name}.bmp", windows[:10] + struct.pack("<II", offset, 64) + windows[18:54] + bytes(24) + windows[54:]
    noise = numpy.random.default_rng(2).integers(0, 256, (HEIGHT, (WIDTH * 2 + 3) // 4 * 4), dtype="uint8").tobytes()
    for name, fields, masks in (("555", 0, ()), ("565", 3, (0xF800, 0x7E0, 0x1F))):
        masks = struct.pack(f"<{len(masks)}I", *masks)
        head = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 16, fields, len(noise), 0, 0, 0, 0) + masks
        sizes = struct.pack("<IHHI", 14 + len(head) + len(noise), 0, 0, 14 + len(head))
        yield f"rgb{name}.bmp", b"BM" + sizes + head + noise


def tiffs():
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield f"{compression}.tif", saved(RGB, "TIFF", compression=compression)
    yield "gray.tif", saved(GRAY, "TIFF")
    yield "bits1.tif", saved(RGB.convert("1"), "TIFF")
    yield "cmyk.tif", saved(CMYK, "TIFF")
    yield "rgba.tif", saved(RGBA, "TIFF")
    yield "gray16.tif", tiff16(1)
    yield "rgb16.tif", tiff16(3)
    yield "exif6.tiff", saved(RGB, "TIFF", tiffinfo={ORIENTATION: 6})
    yield "palette.tif", saved(RGB.quantize(60), "TIFF")
    yield "gray_alpha.tif", saved(LA, "TIFF")
    yield "ycbcr.tif", saved(RGB.convert("YCbCr"), "TIFF")
    yield "jpeg.tif", saved(RGB, "TIFF", compression="jpeg")
    yield "group4.tif", saved(RGB.convert("1"), "TIFF", compression="group4", strip_size=30)
    yield "differences.tif", saved(RGB, "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    rgb, gray, bits = numpy.asarray(RGB), numpy.asarray(GRAY), numpy.packbits(numpy.asarray(GRAY) > 100, axis=1)
    reverse = lambda content: bytes(int(f"{byte:08b}"[::-1], 2) for byte in content)
    yield "reversed.tif", tiff(image_tags(8, 1, 1) | {266: short(2)}, [reverse(gray.tobytes())])
    yield "reversed1.tif", tiff(image_tags(1, 1, 1) | {266: short(2)}, [reverse(bits.tobytes())])
    packed = reverse(zlib.compress(rgb.tobytes()))
    yield "reversed_deflate.tif", tiff(image_tags(8, 3, 2, 8) | {266: short(2)}, [packed])
    yield "white0.tif", tiff(image_tags(8, 1, 0), [gray.tobytes()])
    four = (gray // 16)[:, : WIDTH // 2 * 2]
    four = (four[:, 0::2] * 16 + four[:, 1::2]).tobytes()
    yield "bits4.tif", tiff(image_tags(4, 1, 1) | {256: short(WIDTH // 2 * 2)}, [four])
    rgba = numpy.asarray(RGBA)
    for name, meaning in (("ignored", 0), ("associated", 1)):
        yield f"rgba_{name}.tif", tiff(image_tags(8, 4, 2) | {338: short(meaning)}, [rgba.tobytes()])
    yield "big.tif", tiff(image_tags(8, 3, 2), [rgb.tobytes()], big=True)
    signed = (gray.astype("<i2") * 3 - 200).tobytes()
    yield "signed16.tif", tiff(image_tags(16, 1, 1) | {339: short(2)}, [signed])
    tags = image_tags(8, 3, 2, 8) | {284: short(2), 322: short(16), 323: short(16)}
    padded = numpy.pad(rgb, ((0, 3), (0, 13), (0, 0)))
    tiles = [padded[:, x : x + 16, c].tobytes() for c in range(3) for x in (0, 16)]
    yield "planes_tiles.tif", tiff(tags, [zlib.compress(tile) for tile in tiles])


def short(*numbers):
    """A tag's type, count and bytes."""
    return 3, len(numbers), struct.pack(f"<{len(numbers)}H", *numbers)


def image_tags(bits, samples, colours, compression=1):
    tags = {256: short(WIDTH), 257: short(HEIGHT), 258: short(*[bits] * samples), 259: short(compression)}
    return tags | {262: short(colours), 277: short(samples)}


def tiff(tags, chunks=(), big=False):
    """A TIFF (or EXIF block) by hand, little-endian: the directory, values that do not fit into it, chunks."""
    word, size, number = ("<Q", 20, 16) if big else ("<I", 12, 4)
    field = struct.calcsize(word)
    offsets, lengths = (324, 325) if 322 in tags else (273, 279)
    if chunks:
        tags = tags | {offsets: (number, len(chunks), b""), lengths: (number, len(chunks), b"")}
    start = (16 if big else 8) + (8 if big else 2) + size * len(tags) + field
    room = field * len(chunks) * 2
    at, places = start + room + sum(len(value) for _, _, value in tags.values()), []
    for chunk in chunks:
        places.append(at)
        at += len(chunk)
    if chunks:
        pack = lambda numbers: b"".join(struct.pack(word, n) for n in numbers)
        tags[offsets] = (number, len(chunks), pack(places))
        tags[lengths] = (number, len(chunks), pack(map(len, chunks)))
    entries, behind = b"", b""
    for tag, (kind, count, value) in sorted(tags.items()):
        inline = value if len(value) <= field else struct.pack(word, start + len(behind))
        entries += struct.pack("<HH", tag, kind) + struct.pack(word, count) + inline.ljust(field, b"\0")
        behind += b"" if len(value) <= field else value
    behind = behind.ljust(places[0] - start if places else 0, b"\0")
    head = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, len(tags)) if big else struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    return head + entries + bytes(field) + behind + b"".join(chunks)


def pnms():
    gray, rgb = numpy.asarray(GRAY), numpy.asarray(RGB)
    text = lambda a: " ".join(map(str, a.reshape(-1).tolist())).encode()
    head = lambda kind, top=b"": b"%s\n# a comment\n%d %d\n%s" % (kind, WIDTH, HEIGHT, top)
    bits = numpy.packbits(gray > 100, axis=1).tobytes()
    yield "p1.ppm", head(b"P1") + text((gray > 100).astype(int))
    yield "p2.pgm", head(b"P2", b"255\n") + text(gray)
    yield "p3.ppm", head(b"P3", b"255\n") + text(rgb)
    yield "p4.ppm", head(b"P4") + bits
    yield "p5.pgm", head(b"P5", b"255\n") + gray.tobytes()
    yield "p6.ppm", head(b"P6", b"255\n") + rgb.tobytes()
    yield "p5_100.pgm", head(b"P5", b"100\n") + (gray % 101).tobytes()
    yield "p6_100.ppm", head(b"P6", b"100\n") + (rgb % 101).tobytes()
    yield "p6_1000.ppm", head(b"P6", b"1000\n") + (rgb.astype(">u2") * 3).tobytes()
    yield "p5_1000.pgm", head(b"P5", b"1000\n") + (gray.astype(">u2") // 30).tobytes()
    yield "p5_65535.pgm", head(b"P5", b"65535\n") + DIM.astype(">u2").tobytes()
    yield "p6_65535.ppm", head(b"P6", b"65535\n") + WIDE.tobytes()


def main():
    folder = OUT / "formats"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lines = []
    for makers in (pngs, jpegs, others, tiffs, pnms):
        for name, content in makers():
            (folder / name).write_bytes(content)
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
            pixels = base64.b64encode(image.convert("RGB").tobytes()).decode()
            alpha = image.convert("RGBA").getchannel("A")
            is_opaque = alpha.getextrema() == (255, 255)
            alpha = "" if is_opaque else f', "alpha": "{base64.b64encode(alpha.tobytes()).decode()}"'
            lines.append(f'    "{name}": {{"size": {json.dumps(image.size)}, "rgb": "{pixels}"{alpha}}}')
    made_by = {
        "pillow": PIL.__version__,
        "jpeg": features.version("libjpeg_turbo"),
        "webp": features.version("webp"),
        "tiff": features.version("libtiff"),
    }
    body = ",\n".join(lines)
    (OUT / "formats.json").write_text(f'{{\n  "made_by": {json.dumps(made_by)},\n  "files": {{\n{body}\n  }}\n}}\n')


if __name__ == "__main__":
    main()
