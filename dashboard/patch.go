package dashboard

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// What browsers get: all rows of their sections once, then the rows that have changed. Each is encoded once, for all
// viewers.

// section is what viewers have been told of one, and what changed last.
type section struct {
	rows map[string]json.RawMessage
	news json.RawMessage // nil: nothing has changed
}

type patch struct {
	Set  map[string]json.RawMessage `json:"set,omitempty"`
	Del  []string                   `json:"del,omitempty"`
	Full bool                       `json:"full,omitempty"` // what is not in Set is no more
}

// update takes in the rows as they are now.
func (s *section) update(now rows) {
	p := patch{Set: map[string]json.RawMessage{}}
	next := make(map[string]json.RawMessage, len(now))
	for key, row := range now {
		b, err := json.Marshal(row)
		if err != nil {
			continue // fine: rows are numbers and texts
		}
		next[key] = b
		if !bytes.Equal(b, s.rows[key]) {
			p.Set[key] = b
		}
	}
	for key := range s.rows {
		if _, ok := next[key]; !ok {
			p.Del = append(p.Del, key)
		}
	}
	slices.Sort(p.Del)
	s.rows, s.news = next, nil
	if len(p.Set)+len(p.Del) > 0 {
		s.news, _ = json.Marshal(p)
	}
}

// full is all of it.
func (s *section) full() json.RawMessage {
	b, _ := json.Marshal(patch{Set: s.rows, Full: true})
	return b
}

// message puts the sections of a viewer together; nil: nothing has changed.
func message(sections map[string]*section, names []string, isFull bool) []byte {
	parts := map[string]json.RawMessage{}
	for _, name := range names {
		switch s := sections[name]; {
		case s == nil:
		case isFull:
			parts[name] = s.full()
		case s.news != nil:
			parts[name] = s.news
		}
	}
	if len(parts) == 0 {
		return nil
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range slices.Sorted(maps.Keys(parts)) {
		if i > 0 {
			b.WriteByte(',')
		}
		key, _ := json.Marshal(name)
		b.Write(key)
		b.WriteByte(':')
		b.Write(parts[name])
	}
	b.WriteByte('}')
	return b.Bytes()
}
