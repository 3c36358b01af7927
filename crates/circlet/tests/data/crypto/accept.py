"""Makes accept.txt: `python3 accept.py > accept.txt`.

Plain integer arithmetic with no cryptographic library below it, so that the vectors owe nothing to
the code that they judge. Every nonce is fixed, so that the output is too.
"""

import hashlib

MESSAGE = b"a message"


def case(kind, algorithm, verdict, description, **fields):
    print(f"case: {description}")
    print(f"kind: {kind}\nalgorithm: {algorithm}\nverdict: {verdict}")
    for name, value in fields.items():
        print(f"{name}: {value.hex()}")
    print()


def signature_case(algorithm, verdict, description, key, signature):
    """Verdicts: accepted, bad key, bad signature."""
    fields = {"key": key, "message": MESSAGE, "signature": signature}
    case("signature", algorithm, verdict, description, **fields)


def kem_case(algorithm, verdict, description, key):
    """Verdicts: accepted, bad key."""
    case("kem", algorithm, verdict, description, key=key)


class Edwards:
    """a x^2 + y^2 = 1 + d x^2 y^2, with the hash of EdDSA."""

    def __init__(self, p, a, d, order, base_y, sign, size, cofactor, challenge):
        self.p, self.a, self.d, self.order, self.size = p, a, d, order, size
        self.cofactor, self.challenge = cofactor, challenge
        self.base = self.point(base_y, sign)

    def root(self, square):
        square %= self.p
        if self.p % 4 == 3:
            root = pow(square, (self.p + 1) // 4, self.p)
        else:
            root = pow(square, (self.p + 3) // 8, self.p)
            if root * root % self.p != square:
                root = root * pow(2, (self.p - 1) // 4, self.p) % self.p
        return root if root * root % self.p == square else None

    def point(self, y, sign):
        x = self.root((y * y - 1) * pow(self.d * y * y - self.a, -1, self.p))
        if x is None:
            return None
        return ((-x) % self.p if x & 1 != sign else x, y)

    def add(self, left, right):
        (x1, y1), (x2, y2), p = left, right, self.p
        cross = self.d * x1 * x2 * y1 * y2
        return (
            (x1 * y2 + x2 * y1) * pow(1 + cross, -1, p) % p,
            (y1 * y2 - self.a * x1 * x2) * pow(1 - cross, -1, p) % p,
        )

    def times(self, scalar, point):
        result = (0, 1)
        for bit in bin(scalar)[2:]:
            result = self.add(result, result)
            if bit == "1":
                result = self.add(result, point)
        return result

    def negate(self, point):
        return (-point[0] % self.p, point[1])

    def encode_y(self, y, sign):
        return (y | sign << (8 * self.size - 1)).to_bytes(self.size, "little")

    def encode(self, point):
        return self.encode_y(point[1], point[0] & 1)

    def torsion(self):
        """A point whose order is the whole cofactor."""
        y = 2
        while True:
            point = self.point(y, 0)
            if point:
                point = self.times(self.order, point)
                if self.times(self.cofactor // 2, point) != (0, 1):
                    return point
            y += 1

    def k(self, r, key):
        return int.from_bytes(self.challenge(r + key + MESSAGE), "little") % self.order

    def sign(self, secret, nonce, key):
        """A signature under this encoding of the key, from its part in the large subgroup."""
        r = self.encode(self.times(nonce, self.base))
        return r + self.scalar(nonce + self.k(r, key) * secret)

    def scalar(self, value):
        return (value % self.order).to_bytes(self.size, "little")


def sha512(data):
    return hashlib.sha512(data).digest()


def shake256(data):
    return hashlib.shake_256(b"SigEd448\0\0" + data).digest(114)


P25519 = 2**255 - 19
ED25519 = Edwards(
    P25519, -1, -121665 * pow(121666, -1, P25519) % P25519,
    2**252 + 27742317777372353535851937790883648493,
    4 * pow(5, -1, P25519) % P25519, 0, 32, 8, sha512,
)
P448 = 2**448 - 2**224 - 1
ED448 = Edwards(
    P448, 1, -39081,
    2**446 - 13818066809895115352007386748515426880336692474882178609894547503885,
    298819210078481492676017930443930673437544040154080242095928241372331506189835876003536878655418784733982303233503462500531545062832660,
    0, 57, 4, shake256,
)


def edwards(name, curve):
    p, secret = curve.p, 0x1234567890ABCDEF
    key = curve.encode(curve.times(secret, curve.base))
    good = curve.sign(secret, 77, key)
    r, s = good[: curve.size], int.from_bytes(good[curve.size :], "little")

    def emit(verdict, description, key=key, signature=good):
        signature_case(name, verdict, description, key, signature)

    def with_s(value):
        return r + value.to_bytes(curve.size, "little")

    emit("accepted", "an ordinary signature")
    emit("bad signature", "the last bit of R flipped", signature=bytes([good[0] ^ 1]) + good[1:])
    emit("bad signature", "one byte short", signature=good[:-1])
    emit("bad signature", "one byte long", signature=good + b"\0")
    emit("bad signature", "S plus the order", signature=with_s(s + curve.order))
    emit("bad signature", "S plus twice the order", signature=with_s(s + 2 * curve.order))
    emit("bad signature", "S is the order", signature=with_s(curve.order))
    emit("bad signature", "the top bit of S set",
         signature=with_s(s | 1 << (8 * curve.size - 1)))
    emit("bad key", "a key one byte short", key=key[:-1])
    emit("bad key", "a key one byte long", key=key + b"\0")
    emit("bad key", "no key", key=b"")
    off = next(y for y in range(2, 100) if curve.point(y, 0) is None)
    emit("bad key", "a y that is not on the curve", key=curve.encode_y(off, 0))
    torsion_cases(name, curve, secret)
    for y, sign, description in noncanonical(curve):
        emit("bad key", f"key: {description}", key=curve.encode_y(y, sign))
        bad = curve.encode_y(y, sign)
        emit("bad signature", f"R: {description}", signature=bad + good[curve.size :])
    # With R the neutral point in an encoding not its own, [S]B - [k]A is the point itself.
    for y, sign in ((p + 1, 0), (1, 1), (p + 1, 1)):
        r0 = curve.encode_y(y, sign)
        emit("bad signature", f"R: the neutral point as y = {'1' if y == 1 else 'p + 1'}, sign {sign}, "
             "and the equation holds for the point",
             signature=r0 + curve.scalar(curve.k(r0, key) * secret))


def noncanonical(curve):
    bits = 8 * curve.size - 1
    yield curve.p, 0, "y = p, which is 0"
    yield curve.p, 1, "y = p, which is 0, and the sign"
    yield curve.p + 1, 0, "y = p + 1, which is 1"
    yield 1, 1, "x = 0 with the sign, y = 1"
    yield curve.p - 1, 1, "x = 0 with the sign, y = p - 1"
    y = next(y for y in range(2, 19) if curve.point(y, 0))
    yield curve.p + y, 0, f"y = p + {y}, where {y} is on the curve and not of small order"
    if curve.size == 57:
        yield curve.base[1] | 1 << 448, 0, "the base point with bit 448 set"
        yield curve.base[1] | 1 << (bits - 1), 0, "the base point with bit 454 set"


def torsion_cases(name, curve, secret):
    torsion = curve.torsion()
    # Keys of small order, with signatures that verify by the equation alone.
    for index in range(curve.cofactor):
        point = curve.times(index, torsion)
        key = curve.encode(point)
        for nonce in range(1, 1000):
            r = curve.encode(curve.times(nonce, curve.base))
            if curve.times(curve.k(r, key), point) == (0, 1):
                signature_case(name, "bad key", f"key of small order, {index} times the generator "
                               "of the torsion; the equation holds", key, r + curve.scalar(nonce))
                break
    # Keys with a component of small order: allowed, and only the equation without cofactor counts.
    point = curve.add(curve.times(secret, curve.base), torsion)
    key = curve.encode(point)
    held = broken = False
    for nonce in range(1, 1000):
        signature = curve.sign(secret, nonce, key)
        divides = curve.k(signature[: curve.size], key) % curve.cofactor == 0
        if divides and not held:
            held = True
            signature_case(name, "accepted", "mixed torsion in the key, cancelled by k", key,
                           signature)
        if not divides and not broken:
            broken = True
            signature_case(name, "bad signature", "mixed torsion in the key: holds with the "
                           "cofactor alone", key, signature)
    for nonce in range(1, 1000):
        part = curve.times(nonce % curve.cofactor, torsion)
        mixed = curve.add(curve.times(nonce, curve.base), part)
        r = curve.encode(mixed)
        k = curve.k(r, key)
        if part != (0, 1) and curve.times(k, torsion) == curve.negate(part):
            signature_case(name, "accepted", "mixed torsion in key and R, cancelling each other",
                           key, r + curve.scalar(nonce + k * secret))
            break
    plain = curve.encode(curve.times(secret, curve.base))
    r = curve.encode(curve.add(curve.times(5, curve.base), torsion))
    signature_case(name, "bad signature", "mixed torsion in R: holds with the cofactor alone",
                   plain, r + curve.scalar(5 + curve.k(r, plain) * secret))
    r = curve.encode((0, 1))
    signature_case(name, "bad signature", "R is the neutral point; the equation holds", plain,
                   r + curve.scalar(curve.k(r, plain) * secret))
    # The key's torsion makes an R of small order that the equation likes.
    for index in range(1, curve.cofactor):
        part = curve.times(index, torsion)
        r = curve.encode(part)
        k = curve.k(r, key)
        if curve.times(k, torsion) == curve.negate(part):
            signature_case(name, "bad signature", f"R is {index} times the generator of the "
                           "torsion; the equation holds", key, r + curve.scalar(k * secret))


class Weierstrass:
    """y^2 = x^3 - 3x + b."""

    def __init__(self, p, b, order, base, size, hash_name):
        self.p, self.b, self.order, self.base, self.size = p, b, order, base, size
        self.hash_name = hash_name
        assert self.y(base[0]) in (base[1], p - base[1])
        assert self.times(order - 1, base) == (base[0], p - base[1])

    def y(self, x):
        square = (x**3 - 3 * x + self.b) % self.p
        root = pow(square, (self.p + 1) // 4, self.p)
        return root if root * root % self.p == square else None

    def add(self, left, right):
        if left is None or right is None:
            return left or right
        (x1, y1), (x2, y2), p = left, right, self.p
        if x1 == x2 and (y1 + y2) % p == 0:
            return None
        if left == right:
            slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, p)
        else:
            slope = (y2 - y1) * pow(x2 - x1, -1, p)
        x = (slope * slope - x1 - x2) % p
        return (x, (slope * (x1 - x) - y1) % p)

    def times(self, scalar, point):
        result = None
        for bit in bin(scalar % self.order)[2:]:
            result = self.add(result, result)
            if bit == "1":
                result = self.add(result, point)
        return result

    def encode(self, point, form=4):
        return bytes([form]) + b"".join(c.to_bytes(self.size, "big") for c in point)

    def hash(self):
        digest = int.from_bytes(hashlib.new(self.hash_name, MESSAGE).digest(), "big")
        return digest

    def sign(self, secret, nonce):
        r = self.times(nonce, self.base)[0] % self.order
        return r, pow(nonce, -1, self.order) * (self.hash() + r * secret) % self.order


P256 = Weierstrass(
    2**256 - 2**224 + 2**192 + 2**96 - 1,
    0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5),
    32, "sha256",
)
P384 = Weierstrass(
    2**384 - 2**128 - 2**96 + 2**32 - 1,
    0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    (0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
     0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F),
    48, "sha384",
)
P521 = Weierstrass(
    2**521 - 1,
    0x0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
    2**521 - 657877501894328237357444332315020117536923257219387276263472201219398408051703,
    (0x00C6858E06B70404E9CD9E3ECB662395B4429C648139053FB521F828AF606B4D3DBAA14B5E77EFE75928FE1DC127A2FFA8DE3348B3C1856A429BF97E7E31C2E5BD66,
     0x011839296A789A3BC0045C8A5FB42C7D1BD998F54449579B446817AFBD17273E662C97EE72995EF42640C550B9013FAD0761353C7086A272C24088BE94769FD16650),
    66, "sha512",
)


def integer(value):
    return b"\x02" + tlv(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def tlv(content):
    length = len(content)
    return (bytes([length]) if length < 128 else bytes([0x81, length])) + content


def der(r, s):
    return b"\x30" + tlv(integer(r) + integer(s))


def nist(name, kem, curve):
    secret = 0x1234567890ABCDEF
    point = curve.times(secret, curve.base)
    key = curve.encode(point)
    n = curve.order
    r, s = curve.sign(secret, 77)
    s = min(s, n - s)
    good = der(r, s)

    def emit(verdict, description, signature=good, key=key):
        signature_case(name, verdict, description, key, signature)

    body = integer(r) + integer(s)
    emit("accepted", "an ordinary signature, low s")
    emit("accepted", "high s", der(r, n - s))
    emit("bad signature", "the last bit flipped", good[:-1] + bytes([good[-1] ^ 1]))
    raw = r.to_bytes(curve.size, "big") + s.to_bytes(curve.size, "big")
    emit("bad signature", "r and s without DER", raw)
    emit("bad signature", "nothing", b"")
    emit("bad signature", "a byte after the sequence", good + b"\0")
    emit("bad signature", "a byte inside the sequence", b"\x30" + tlv(body + b"\0"))
    emit("bad signature", "a third integer", b"\x30" + tlv(body + integer(1)))
    emit("bad signature", "one byte short", good[:-1])
    emit("bad signature", "s missing", b"\x30" + tlv(integer(r)))
    long = bytes([0x81, len(body)]) if len(body) < 128 else bytes([0x82, 0, len(body)])
    emit("bad signature", "sequence length in one byte more than needed", b"\x30" + long + body)
    emit("bad signature", "sequence of indefinite length", b"\x30\x80" + body + b"\0\0")
    padded = b"\x02" + tlv(b"\0" + r.to_bytes(r.bit_length() // 8 + 1, "big"))
    emit("bad signature", "r with a zero byte more than needed", b"\x30" + tlv(padded + integer(s)))
    padded = b"\x02" + tlv(b"\0" + s.to_bytes(s.bit_length() // 8 + 1, "big"))
    emit("bad signature", "s with a zero byte more than needed", b"\x30" + tlv(integer(r) + padded))
    content = r.to_bytes(r.bit_length() // 8 + 1, "big")
    stretched = b"\x02\x81" + bytes([len(content)]) + content
    emit("bad signature", "length of r in one byte more than needed",
         b"\x30" + tlv(stretched + integer(s)))
    emit("bad signature", "a set in the place of the sequence", b"\x31" + good[1:])
    emit("bad signature", "a bit string in the place of r",
         b"\x30" + tlv(b"\x03" + integer(r)[1:] + integer(s)))
    emit("bad signature", "r empty", b"\x30" + tlv(b"\x02\x00" + integer(s)))
    negative_cases(curve, emit, secret)
    for value, what in ((0, "zero"), (n, "the order"), (n + 1, "the order and one")):
        emit("bad signature", f"r is {what}", der(value, s))
        emit("bad signature", f"s is {what}", der(r, value))
    emit("bad signature", "s plus the order", der(r, s + n))
    reduced_r(curve, emit)
    for verdict, description, bad in point_cases(curve, point):
        emit(verdict, f"key: {description}", good, key=bad)
        kem_case(kem, verdict, description, bad)
    kem_case(kem, "accepted", "an ordinary point", key)


def negative_cases(curve, emit, secret):
    """An r or s whose top bit is set, without the zero byte that makes it positive."""
    size = (curve.order.bit_length() + 7) // 8
    for nonce in range(78, 1000):
        r, s = curve.sign(secret, nonce)
        bits = 8 * ((r.bit_length() + 7) // 8)
        if r.bit_length() == bits:
            content = r.to_bytes(bits // 8, "big")
            emit("bad signature", "r negative", b"\x30" + tlv(b"\x02" + tlv(content) + integer(s)))
            break
    for nonce in range(78, 1000):
        r, s = curve.sign(secret, nonce)
        bits = 8 * ((s.bit_length() + 7) // 8)
        if s.bit_length() == bits:
            content = s.to_bytes(bits // 8, "big")
            emit("bad signature", "s negative", b"\x30" + tlv(integer(r) + b"\x02" + tlv(content)))
            break
    if size < 66:
        for nonce in range(78, 2000):
            r, s = curve.sign(secret, nonce)
            if r < 1 << (8 * (size - 1) - 1):
                emit("accepted", "r that is a byte shorter than the order", der(r, s))
                break


def reduced_r(curve, emit):
    """A signature whose R has an x above the order, so that r is x less the order; the key is
    recovered from it."""
    x = curve.order
    while curve.y(x) is None:
        x += 1
    point, r, s = (x, curve.y(x)), x - curve.order, 99
    if r == 0:
        return
    inverse = pow(r, -1, curve.order)
    left = curve.times(s * inverse, point)
    right = curve.times(-curve.hash() * inverse, curve.base)
    emit("accepted", "x of R above the order", der(r, s), key=curve.encode(curve.add(left, right)))


def point_cases(curve, point):
    x, y = point
    key = curve.encode(point)
    yield "bad key", "compressed", bytes([2 + (y & 1)]) + key[1 : 1 + curve.size]
    yield "bad key", "hybrid", curve.encode(point, 6 + (y & 1))
    yield "bad key", "the other hybrid", curve.encode(point, 7 - (y & 1))
    yield "bad key", "form 5", curve.encode(point, 5)
    yield "bad key", "infinity", b"\0"
    yield "bad key", "infinity at full length", bytes(len(key))
    yield "bad key", "x and y zero", curve.encode((0, 0))
    yield "bad key", "off the curve", curve.encode((x, y ^ 1))
    yield "bad key", "one byte short", key[:-1]
    yield "bad key", "one byte long", key + b"\0"
    yield "bad key", "without the form", key[1:]
    yield "bad key", "no key", b""
    small = next(x for x in range(1, 100) if curve.y(x) is not None)
    yield "bad key", "x not below the prime", curve.encode(
        (small + curve.p, curve.y(small)))
    yield "bad key", "x is the prime", curve.encode((curve.p, y))
    yield "bad key", "y is the prime", curve.encode((x, curve.p))


def montgomery():
    d = ED25519
    generator = d.torsion()
    points = [d.times(index, generator) for index in range(8)]
    order8 = {(1 + y) * pow(1 - y, -1, P25519) % P25519 for _, y in points if y != 1}
    order8 = sorted(order8 - {0, 1, P25519 - 1})
    values = [(0, "0"), (1, "1"), (P25519 - 1, "p - 1"), (P25519, "p"), (P25519 + 1, "p + 1")]
    values += [(u, f"of order 8, number {index}") for index, u in enumerate(order8)]
    for u, what in values:
        for top, also in ((0, ""), (1, ", the top bit set")):
            kem_case("x25519", "bad key", f"u is {what}{also}",
                     (u | top << 255).to_bytes(32, "little"))
    for u, what in ((9, "9"), (P25519 + 9, "p + 9"), (2**255 - 1, "2^255 - 1"), (2, "2, on the twist")):
        for top, also in ((0, ""), (1, ", the top bit set")):
            kem_case("x25519", "accepted", f"u is {what}{also}",
                     (u | top << 255).to_bytes(32, "little"))
    for length in (0, 31, 33):
        kem_case("x25519", "bad key", f"{length} bytes", bytes([9] * length))
    for u, what in ((0, "0"), (1, "1"), (P448 - 1, "p - 1"), (P448, "p"), (P448 + 1, "p + 1")):
        kem_case("x448", "bad key", f"u is {what}", u.to_bytes(56, "little"))
    for u, what in ((5, "5"), (P448 + 5, "p + 5"), (2**448 - 1, "2^448 - 1"), (2, "2")):
        kem_case("x448", "accepted", f"u is {what}", u.to_bytes(56, "little"))
    for length in (0, 55, 57):
        kem_case("x448", "bad key", f"{length} bytes", bytes([5] * length))


print("# Which keys and signatures are accepted. Made by accept.py; kind, algorithm and verdict are")
print("# explained there.\n")
edwards("ed25519", ED25519)
edwards("ed448", ED448)
nist("ecdsa-p256", "p256", P256)
nist("ecdsa-p384", "p384", P384)
nist("ecdsa-p521", "p521", P521)
montgomery()
