package broach

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"broach/internal/jsonfile"
)

// What people and logs are shown of a value are attributes chosen one by one: no field, such as a key, is shown for being there.

// hidden stands for a secret.
const hidden = jsonfile.Hidden

// String returns the address, name and cluster of the node and how many keys it has. It never contains a key.
func (n *Node) String() string { return text("Node", n.attrs()) }

// Format prints String, whatever the verb.
func (n *Node) Format(f fmt.State, verb rune) { write(f, verb, n.String()) }

// LogValue returns what String shows.
func (n *Node) LogValue() slog.Value { return logValue(n.attrs()) }

func (n *Node) attrs() []slog.Attr {
	if n == nil {
		return nil
	}
	return n.cfg.attrsWith(slog.Any("addr", n.where()), n.wires.Ring.Load().Len())
}

// where is the address of a node that may be nil, or the zero Node.
func (n *Node) where() netip.AddrPort {
	switch {
	case n == nil:
		return netip.AddrPort{}
	case n.view.Load() == nil:
		return n.addr
	}
	return n.Addr()
}

// String returns the address, name and cluster of the node to be and how many keys it has. It never contains a key.
func (c Config) String() string { return text("Config", c.attrs()) }

// Format prints String, whatever the verb, but for %p and a %w that is out of place, which fmt answers itself. A Config in an unexported field
// of another struct is out of its reach, too, and a pointer to one there: fmt prints all that is there, the keys too.
func (c Config) Format(f fmt.State, verb rune) { write(f, verb, c.String()) }

// LogValue returns what String shows.
func (c Config) LogValue() slog.Value { return logValue(c.attrs()) }

// MarshalJSON returns all fields that a text can have, with a text in place of each key that is none: to read it back is an error, and makes no Config
// without keys.
func (c Config) MarshalJSON() ([]byte, error) {
	type fields Config // without this method
	shown := struct {
		fields
		Keys []string // instead of the fields'

		Logger, Conn, CallInterceptors, ServeInterceptors *struct{} `json:",omitempty"` // likewise: no text has those
	}{fields: fields(c)}
	if c.Keys != nil {
		shown.Keys = slices.Repeat([]string{hidden}, len(c.Keys))
	}
	return json.Marshal(shown)
}

func (c Config) attrs() []slog.Attr {
	_, addr := c.listenAddr()
	return c.attrsWith(slog.String("addr", addr), len(c.Keys))
}

func (c Config) attrsWith(addr slog.Attr, keys int) []slog.Attr {
	return []slog.Attr{addr, slog.String("name", c.Name), slog.String("cluster", c.cluster()), slog.Int("keys", keys)}
}

// String returns the name of the function and the address of the node that calls it.
func (c *Caller) String() string { return text("Caller", c.attrs()) }

// Format prints String, whatever the verb.
func (c *Caller) Format(f fmt.State, verb rune) { write(f, verb, c.String()) }

// LogValue returns what String shows.
func (c *Caller) LogValue() slog.Value { return logValue(c.attrs()) }

func (c *Caller) attrs() []slog.Attr {
	if c == nil {
		return nil
	}
	return []slog.Attr{slog.String("service", c.name), slog.Any("node", c.node.where())}
}

// String returns the name of the timer, if it has one, its period, and the address of its node.
func (t *Timer) String() string { return text("Timer", t.attrs()) }

// Format prints String, whatever the verb.
func (t *Timer) Format(f fmt.State, verb rune) { write(f, verb, t.String()) }

// LogValue returns what String shows.
func (t *Timer) LogValue() slog.Value { return logValue(t.attrs()) }

// attrs needs no lock: of the plan, the period does not change.
func (t *Timer) attrs() []slog.Attr {
	if t == nil {
		return nil
	}
	return []slog.Attr{slog.String("name", t.name), slog.Duration("every", t.plan.Every), slog.Any("node", t.node.where())}
}

// String returns the topic of the subscription and the address of its node.
func (s *Subscription) String() string { return text("Subscription", s.attrs()) }

// Format prints String, whatever the verb.
func (s *Subscription) Format(f fmt.State, verb rune) { write(f, verb, s.String()) }

// LogValue returns what String shows.
func (s *Subscription) LogValue() slog.Value { return logValue(s.attrs()) }

func (s *Subscription) attrs() []slog.Attr {
	if s == nil {
		return nil
	}
	return []slog.Attr{slog.String("topic", topicOf(s.row)), slog.Any("node", s.node.where())}
}

// text is a value on one line; without attributes it is nil.
func text(name string, attrs []slog.Attr) string {
	if attrs == nil {
		return "<nil>"
	}
	parts := make([]string, len(attrs))
	for i, a := range attrs {
		value := a.Value.String()
		if a.Value.Kind() == slog.KindString {
			value = strconv.Quote(value)
		}
		parts[i] = a.Key + ":" + value
	}
	return "broach." + name + "{" + strings.Join(parts, " ") + "}"
}

// logValue is a value for a log; without attributes it is nil.
func logValue(attrs []slog.Attr) slog.Value {
	if attrs == nil {
		return slog.AnyValue(nil)
	}
	return slog.GroupValue(attrs...)
}

// write prints a text for any verb: fmt itself would print fields for those that are not of texts.
func write(f fmt.State, verb rune, text string) {
	if verb != 'q' {
		verb = 's'
	}
	fmt.Fprintf(f, fmt.FormatString(f, verb), text)
}
