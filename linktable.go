package broach

import "sync"

// linkTable finds links by the boot id of their peer. The loop opens and closes them, the reader looks each datagram up.
type linkTable struct {
	mu     sync.RWMutex // protects byBoot: one writer, and a reader that cannot wait for a turn of the loop
	byBoot map[uint64]*link
}

// get returns the link to a process, or nil.
func (t *linkTable) get(boot uint64) *link {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byBoot[boot]
}

// add takes up a link.
func (t *linkTable) add(l *link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byBoot == nil {
		t.byBoot = make(map[uint64]*link)
	}
	t.byBoot[l.id.boot] = l
}

// remove takes a link out and returns it, or nil.
func (t *linkTable) remove(boot uint64) *link {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.byBoot[boot]
	delete(t.byBoot, boot)
	return l
}

// all lists the links, in no order.
func (t *linkTable) all() []*link {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := make([]*link, 0, len(t.byBoot))
	for _, l := range t.byBoot {
		list = append(list, l)
	}
	return list
}
