package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// someProvider is one of many.
func someProvider(i int, signature string) Provider {
	return Provider{Process: Process{Addr: addr4, Boot: uint64(i + 1)}, Table: 1, Signature: signature, Last: i%2 == 0}
}

// [GST-4] number of signatures (1, at most 64), each with a length (2) in UTF-8, 16 KiB together at most; number of
// providers (1, at most 64)
func TestMoreProvidersThanMayBeListedAreCounted(t *testing.T) {
	var m Found
	for i := range 100 {
		m.Add(someProvider(i, fmt.Sprint("()", i)))
	}
	require.Len(t, m.Providers, FoundMost)
	require.EqualValues(t, 36, m.More)
	got, err := ConsumeFound(m.Append(nil))
	require.NoError(t, err)
	require.Equal(t, m, got)

	m = Found{}
	for i := range 3 {
		m.Add(someProvider(i, strings.Repeat(fmt.Sprint(i), FoundWords/2)))
	}
	require.Len(t, m.Providers, 2)
	require.EqualValues(t, 1, m.More)
	require.LessOrEqual(t, len(m.Append(nil)), FoundWords+200)
}

func TestWhatWasFoundIsCheckedToItsEnd(t *testing.T) {
	var m Found
	m.Add(someProvider(0, "(int)"))
	good := m.Append(nil)
	for i := range good {
		_, err := ConsumeFound(good[:i])
		require.ErrorIs(t, err, ErrShort, "%d bytes", i)
	}
	at := func(i int, v byte) []byte {
		b := []byte(string(good))
		b[i] = v
		return b
	}
	for _, c := range []struct {
		what string
		b    []byte
		err  error
	}{
		{"65 signatures", at(4, 65), ErrLimit},
		{"65 providers", at(12, 65), ErrLimit},
		{"a signature that is no text", at(7, 0xff), ErrField},
		{"an address of no family", at(13, 5), ErrField},
		{"a signature that is not there", at(len(good)-2, 1), ErrField},
		{"more, and it is missing", at(len(good)-1, 128), ErrShort},
		{"a weight of 0", append(at(len(good)-1, 2), 0, 0), ErrField},
	} {
		_, err := ConsumeFound(c.b)
		require.ErrorIs(t, err, c.err, c.what)
	}
}

// [GST-4] bits, a sum: ... 128 more follows; others are ignored
func TestWhatLaterVersionsSayOfProvidersIsIgnored(t *testing.T) {
	var m Found
	m.Add(someProvider(0, "(int)"))
	m.Add(someProvider(1, "(int)"))
	b := m.Append(nil)
	b[len(b)-1] |= 8 | 16 | 32 | 64 | 128
	got, err := ConsumeFound(append(b, 0, 3, 'n', 'e', 'w'))
	require.NoError(t, err)
	require.Equal(t, m, got)
	got, err = ConsumeFound(append(m.Append(nil), "later"...))
	require.NoError(t, err)
	require.Equal(t, m, got)
}

func FuzzFound(f *testing.F) {
	f.Add(Found{More: 1, Providers: []Provider{someProvider(0, "()"), someProvider(1, "(int)")}}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ConsumeFound(b)
		if err != nil {
			return
		}
		again, err := ConsumeFound(m.Append(nil))
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}
