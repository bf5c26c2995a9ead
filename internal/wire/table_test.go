package wire

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// hashed ends a table that was made by hand.
func hashed(b ...byte) []byte {
	return binary.BigEndian.AppendUint64(b, fnv1a(b))
}

// row is a row made by hand.
func row(shared int, tail, signature string) string {
	head, middle := []byte{byte(shared), byte(len(tail))}, []byte{0, byte(len(signature))}
	return string(head) + tail + string(middle) + signature + "\x00"
}

// table is a table made by hand.
func table(rows ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(rows)))
	return hashed(append(b, strings.Join(rows, "")...)...)
}

// [TAB-1] A table whose names do not rise, or whose hash is wrong, MUST be rejected as a whole.
func TestTablesThatDoNotRiseAreRejected(t *testing.T) {
	for _, c := range []struct {
		what  string
		table []byte
	}{
		{"the same name twice", table(row(0, "work01", ""), row(0, "work01", ""))},
		{"the same name, all shared", table(row(0, "work01", ""), row(6, "", ""))},
		{"falling", table(row(0, "work02", ""), row(0, "work01", ""))},
		{"falling in the tail", table(row(0, "work02", ""), row(5, "1", ""))},
		{"falling to a prefix", table(row(0, "work02", ""), row(5, "", ""))},
		{"the first without a name", table(row(0, "", ""))},
	} {
		fns, err := ConsumeTable(c.table)
		require.ErrorIs(t, err, ErrOrder, c.what)
		require.Nil(t, fns, c.what)
	}
}

// [TAB-1] A table ... whose hash is wrong, MUST be rejected as a whole.
func TestTablesWithAnyBitWrongAreRejected(t *testing.T) {
	b := AppendTable(nil, []Function{{Name: "work01", Signature: "(int) bool"}, {Name: "work02", Signature: "()"}})
	for bit := range len(b) * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		_, err := ConsumeTable(b)
		require.ErrorIs(t, err, ErrHash, "bit %d", bit)
		b[bit/8] ^= 1 << (bit % 8)
	}
	_, err := ConsumeTable(b)
	require.NoError(t, err, "with all bits back")
}

// [TAB-4] Names that begin with `__` MUST NOT be in a table
func TestTablesWithBadRowsAreRejected(t *testing.T) {
	long := strings.Repeat("n", MaxName)
	for _, c := range []struct {
		what  string
		table []byte
	}{
		{"private name", table(row(0, "__ping", ""))},
		{"private name, half shared", table(row(0, "_", ""), row(1, "_ping", ""))},
		{"name of 201 bytes", table(row(0, long+"n", ""))},
		{"name of 201 bytes, shared", table(row(0, long, ""), row(MaxName, "n", ""))},
		{"name with a control character", table(row(0, "a\x00", ""))},
		{"name with two NUL bytes", table(row(0, "\x00\x00", ""))},
		{"NUL byte after a shared beginning", table(row(0, "a", ""), row(1, "\x00", ""))},
		{"name with a C1 control", table(row(0, "a\u0085", ""))},
		{"name that is not UTF-8", table(row(0, "a\xff", ""))},
		{"character cut in two", table(row(0, "中", ""), row(2, "ÿ", ""))},
		{"half a character", table(row(0, "中", ""), row(2, "\xb0", ""))},
		{"shared by the first", table(row(1, "a", ""))},
		{"more shared than there was", table(row(0, "a", ""), row(2, "b", ""))},
		{"signature that is not UTF-8", table(row(0, "a", "\xff"))},
		{"bytes after the last row", hashed(0, 0, 0)},
		{"a weight of nothing", table(row(0, "a", "")[:5] + "\x02\x00\x00")},
		{"no documentation", table(row(0, "a", "")[:5] + "\x04\x00\x00")},
		{"documentation that is not UTF-8", table(row(0, "a", "")[:5] + "\x04\x00\x01\xff")},
		{"too much documentation", table(row(0, "a", "")[:5] + "\x04\x04\x01" + strings.Repeat("d", MaxDoc+1))},
	} {
		_, err := ConsumeTable(c.table)
		require.ErrorIs(t, err, ErrField, c.what)
	}
}

// [TAB-11] Bits 16, 32 and 64 of a row MUST be ignored. With 128 a length (2) and as many bytes stand at the end of the
// row, and MUST be passed over.
func TestWhatLaterVersionsSayInRowsIsIgnored(t *testing.T) {
	want := []Function{{Name: "a", Weight: 7, Doc: "d", Idempotent: true, Paused: true}, {Name: "b"}, {Name: "c"}}
	got, err := ConsumeTable(table(
		row(0, "a", "")[:5]+"\xff\x00\x07\x00\x01d\x00\x03new",
		row(0, "b", "")[:5]+"\x80\x00\x00",
		row(0, "c", "")[:5]+"\x70",
	))
	require.NoError(t, err)
	require.Equal(t, want, got)

	_, err = ConsumeTable(table(row(0, "a", "")[:5] + "\x80\x00\x03ne"))
	require.ErrorIs(t, err, ErrShort)
	fns, err := ConsumeTable(table(row(0, "a", "")[:5] + "\x80\xff\xff" + strings.Repeat("x", 65535)))
	require.NoError(t, err)
	require.Equal(t, []Function{{Name: "a"}}, fns, "nothing is kept of it")
}

func TestShortTablesAreRejected(t *testing.T) {
	whole := AppendTable(nil, []Function{{Name: "work01", Signature: "(int) bool"}, {Name: "work02", Signature: "()"}})
	for n := range whole {
		want := ErrHash
		if n < TableFloor {
			want = ErrShort
		}
		_, err := ConsumeTable(whole[:n])
		require.ErrorIs(t, err, want, "%d bytes", n)
	}
	rows := whole[:len(whole)-hashSize]
	for n := 2; n < len(rows); n++ {
		_, err := ConsumeTable(hashed(slices.Clone(rows[:n])...))
		require.ErrorIs(t, err, ErrShort, "%d bytes with the right hash", n)
	}
}

// A table has at most 10,000 functions and 1 MiB.
func TestTablesOverTheLimitsAreRejected(t *testing.T) {
	names := make([]string, MaxFunctions+1)
	for i := range names {
		names[i] = row(0, fmt.Sprintf("%05d", i), "")
	}
	_, err := ConsumeTable(table(names...))
	require.ErrorIs(t, err, ErrLimit, "10,001 functions")
	fns, err := ConsumeTable(table(names[1:]...))
	require.NoError(t, err)
	require.Len(t, fns, MaxFunctions)

	require.Equal(t, table(names[1:]...)[:2], AppendTable(nil, fns)[:2], "so many can be sent")

	_, err = ConsumeTable(hashed(make([]byte, MaxTable-hashSize+1)...))
	require.ErrorIs(t, err, ErrLimit, "over 1 MiB")
	_, err = ConsumeTable(hashed(make([]byte, MaxTable-hashSize)...))
	require.ErrorIs(t, err, ErrField, "1 MiB, of zeros")
	_, err = ConsumeTable(hashed(255, 255))
	require.ErrorIs(t, err, ErrLimit, "a count without rows")
}

// Fewer bytes may be said to be shared than are
func TestTablesMayShareLess(t *testing.T) {
	fns, err := ConsumeTable(table(row(0, "work01", ""), row(4, "02", "()"), row(0, "work03", "")))
	require.NoError(t, err)
	require.Equal(t, []Function{{Name: "work01", Signature: ""}, {Name: "work02", Signature: "()"},
		{Name: "work03", Signature: ""}}, fns)
}

// they never end within a character
func TestSharedBytesEndWithACharacter(t *testing.T) {
	require.Equal(t, 0, shared("中", "丰"), "two of three bytes are the same")
	require.Equal(t, 3, shared("中中", "中丰"))
	require.Equal(t, 6, shared("中文", "中文字"))
	require.Equal(t, 4, shared("work", "work01"))
	require.Equal(t, 5, shared("work01", "work02"))
	require.Equal(t, 0, shared("", "work"))
	require.Equal(t, 4, shared("work01", "work"), "a mistake of ours, which the receiver finds")
}

func TestLongestRowComesBackAsItWas(t *testing.T) {
	want := []Function{{Name: strings.Repeat("n", MaxName), Signature: strings.Repeat("s", MaxSignature),
		Doc: strings.Repeat("d", MaxDoc), Weight: 65535, Idempotent: true, Paused: true}}
	got, err := ConsumeTable(AppendTable(nil, want))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestRandomTablesComeBackAsTheyWere(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		want := randomTable(r)
		got, err := ConsumeTable(AppendTable(nil, want))
		require.NoError(t, err, "%q", want)
		require.Equal(t, want, got)
	}
}

// randomTable makes names of few characters, so that they share much.
func randomTable(r *rand.Rand) []Function {
	letters := []string{"a", "b", "é", "中", "丰", "𝄞"}
	fns := []Function{}
	for range r.IntN(40) {
		name := ""
		for range 1 + r.IntN(MaxName/4) {
			name += letters[r.IntN(len(letters))]
		}
		fns = append(fns, Function{
			Name: name, Signature: strings.Repeat("s", r.IntN(3)), Doc: strings.Repeat("d", r.IntN(3)),
			Weight: uint16(r.IntN(3)), Idempotent: r.IntN(2) == 0, Paused: r.IntN(2) == 0,
		})
	}
	slices.SortFunc(fns, func(a, b Function) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(fns, func(a, b Function) bool { return a.Name == b.Name })
}

// bomb is the table that says most with least: names of MaxName which share all but their last characters.
func bomb() []byte {
	fns := make([]Function, MaxFunctions)
	for i := range fns {
		fns[i].Name = strings.Repeat("n", MaxName-2) + string([]byte{byte(' ' + i/95), byte(' ' + i%95)})
	}
	return AppendTable(nil, fns[:95*95])
}

func TestPrefixesDoNotAmplifyWithoutBound(t *testing.T) {
	b := bomb()
	require.Less(t, len(b), 60_000, "the attack is cheap")
	cost := allocated(func() {
		fns, err := ConsumeTable(b)
		require.NoError(t, err)
		require.Len(t, fns, 95*95)
	})
	require.Less(t, cost, uint64(3<<20), "bytes: names below 2 MiB, 10,000 rows")
}

func TestBadTablesCostNoMemory(t *testing.T) {
	b := bomb()
	b = hashed(append(b[:len(b)-hashSize], 0)...) // wrong at its very end
	require.Zero(t, testing.AllocsPerRun(5, func() {
		if _, err := ConsumeTable(b); err != ErrField {
			t.Fatal(err)
		}
	}))
}

// allocated is the number of bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
