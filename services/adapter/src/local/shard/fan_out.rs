//! Frames for rooms. Within a turn a room's frames are stored once, and its members *follow* them: one more frame costs
//! the same for ten members as for ten thousand, and frames are encoded once for all members that get the same ones.
//!
//! A member stops following as soon as it gets another frame: it is *settled*, which means that its shared frames move
//! to its own outbox. So every member sees frames in the order of sending. It follows again from the room's next frame
//! on.

use std::collections::{HashMap, HashSet};

use indexmap::IndexSet;
use slab::Slab;

use super::{ConnectionId, Entry, Shard};
use crate::local::delivery::Class;
use crate::local::outbox::Outbox;
use crate::wire::{ClientId, Frame, Room};

/// Larger frames are not shared, so that a slow member keeps a reference to the frame, not an encoded copy of the rest.
const SHARED_FRAME: usize = 8 * 1024;

/// The turn should end when this many bytes are shared.
const SHARED_BYTES: usize = 32 * 1024;

/// The most frames for which memory is kept between turns.
const KEPT: usize = 64;

/// The shared frames that a connection follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Following {
    room: u32,
    /// The first frame that it follows.
    start: u32,
}

/// Frames to write to a connection, shared with other connections.
#[derive(Debug, Clone, Copy)]
pub struct Shared<'a> {
    /// In order, at least one.
    pub frames: &'a [Frame],
    /// Equal, within one turn, for all connections that share exactly these frames.
    pub id: u64,
}

/// The rooms of one shard.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    by_name: HashMap<Room, usize>,
    rooms: Slab<Members>,
    /// The turn of all connections.
    everyone: Turn,
    /// Rooms with shared frames, and some that no longer have any.
    active: Vec<usize>,
    /// Whether the turn should end.
    full: bool,
    /// Reused memory for lists of members.
    scratch: Vec<usize>,
}

#[derive(Debug, Default)]
struct Members {
    keys: IndexSet<usize>,
    turn: Turn,
}

/// The frames that are shared until the turn ends.
#[derive(Debug, Default)]
struct Turn {
    frames: Vec<Frame>,
    bytes: usize,
    /// The members that do not follow at the moment. Only kept while there are frames.
    unmatched: Vec<usize>,
}

/// Used as a room's key for all connections.
const EVERYONE: usize = u32::MAX as usize;

impl Rooms {
    /// A connection was added.
    pub(super) fn added(&mut self, key: usize) {
        self.everyone.add_unmatched(key);
    }

    /// A connection is gone and leaves these rooms.
    pub(super) fn removed(&mut self, key: usize, rooms: &HashSet<Room>) {
        self.everyone.forget(key);
        for room in rooms {
            self.forget(room, key);
        }
    }

    fn forget(&mut self, room: &Room, key: usize) {
        let Some(&index) = self.by_name.get(room) else { return };
        let members = &mut self.rooms[index];
        members.turn.forget(key);
        members.keys.swap_remove(&key);
        if members.keys.is_empty() {
            self.rooms.remove(index);
            self.by_name.remove(room);
        }
    }

    fn turn(&self, room: usize) -> &Turn {
        match room {
            EVERYONE => &self.everyone,
            room => &self.rooms[room].turn,
        }
    }

    fn turn_mut(&mut self, room: usize) -> &mut Turn {
        match room {
            EVERYONE => &mut self.everyone,
            room => &mut self.rooms[room].turn,
        }
    }

    fn followed(&self, Following { room, start }: Following) -> Shared<'_> {
        Shared {
            frames: &self.turn(room as usize).frames[start as usize..],
            id: u64::from(room) << 32 | u64::from(start),
        }
    }
}

impl Turn {
    fn add_unmatched(&mut self, key: usize) {
        if !self.frames.is_empty() {
            self.unmatched.push(key);
        }
    }

    fn forget(&mut self, key: usize) {
        if !self.frames.is_empty() {
            self.unmatched.retain(|other| *other != key);
        }
    }

    fn end(&mut self) {
        self.bytes = 0;
        self.unmatched.clear();
        self.frames.clear();
        if self.frames.capacity() > KEPT {
            self.frames = Vec::new();
        }
    }
}

impl<S> Shard<S> {
    pub(super) fn push_room(&mut self, room: &Room, except: &[ClientId], frame: &Frame) {
        if let Some(&room) = self.rooms.by_name.get(room) {
            self.fan_out(room, frame, !except.is_empty(), |entry| except.contains(&entry.client));
        }
    }

    pub(super) fn push_all(&mut self, except: &[ConnectionId], frame: &Frame) {
        self.fan_out(EVERYONE, frame, !except.is_empty(), |entry| {
            except.contains(&entry.connection)
        });
    }

    /// Whether so much is shared that the turn should end. Drain before applying the next command.
    pub fn is_full(&self) -> bool {
        self.rooms.full
    }

    /// As [`Shard::drain_dirty`], but frames can be encoded once for all connections that share them. With `Some`,
    /// nothing else waits for the connection: `drain` either writes these frames and returns `true`, or does nothing
    /// and returns `false`. Then it is called again with `None`, and the frames are in the outbox.
    pub fn drain_shared(
        &mut self,
        mut drain: impl FnMut(ConnectionId, &mut S, &mut Outbox, Option<Shared<'_>>) -> bool,
    ) {
        let mut dirty = std::mem::take(&mut self.pending.dirty);
        for key in dirty.drain(..) {
            let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.dirty) else {
                continue;
            };
            entry.dirty = false;
            if let Some(following) = entry.following.take() {
                let shared = self.rooms.followed(following);
                if entry.outbox.is_empty()
                    && drain(entry.connection, &mut entry.socket, &mut entry.outbox, Some(shared))
                {
                    continue;
                }
                for frame in shared.frames {
                    entry.queue(frame.clone(), Class::Must, self.limits, &mut self.pending);
                }
            }
            drain(entry.connection, &mut entry.socket, &mut entry.outbox, None);
            entry.weigh(&mut self.waiting);
        }
        self.pending.dirty = dirty;
        self.end_turn();
    }

    fn end_turn(&mut self) {
        let rooms = &mut self.rooms;
        for room in rooms.active.drain(..) {
            if room == EVERYONE {
                rooms.everyone.end();
            } else if let Some(members) = rooms.rooms.get_mut(room) {
                members.turn.end();
            }
        }
        rooms.full = false;
    }

    /// Moves the frames that an entry follows to its own outbox: it is about to get another frame, or to leave.
    pub(super) fn settle(&mut self, key: usize) {
        let entry = &mut self.entries[key];
        let Some(following) = entry.following.take() else {
            return;
        };
        for frame in self.rooms.followed(following).frames {
            entry.queue(frame.clone(), Class::Must, self.limits, &mut self.pending);
        }
        self.rooms.turn_mut(following.room as usize).unmatched.push(key);
    }

    fn fan_out(&mut self, room: usize, frame: &Frame, with_exceptions: bool, is_except: impl Fn(&Entry<S>) -> bool) {
        let class = self.delivery.class_of(frame);
        if class != Class::Must || frame.len() > SHARED_FRAME {
            return self.push_each(room, frame, class, is_except);
        }
        if with_exceptions {
            self.settle_followers(room, &is_except);
        }
        let turn = self.rooms.turn(room);
        let start = turn.frames.len();
        let mut waiting = std::mem::take(&mut self.rooms.scratch);
        if start == 0 {
            self.rooms.active.push(room);
            self.members(room, &mut waiting);
        } else {
            waiting.append(&mut self.rooms.turn_mut(room).unmatched);
        }
        for key in waiting.drain(..) {
            if self.entries[key].closing {
                continue;
            }
            if with_exceptions && is_except(&self.entries[key]) {
                self.rooms.turn_mut(room).unmatched.push(key);
                continue;
            }
            self.settle(key);
            let entry = &mut self.entries[key];
            entry.following = Some(Following {
                room: room as u32,
                start: start as u32,
            });
            entry.mark(key, &mut self.pending.dirty);
        }
        self.rooms.scratch = waiting;
        let turn = self.rooms.turn_mut(room);
        turn.frames.push(frame.clone());
        turn.bytes += frame.len();
        self.rooms.full |= self.rooms.turn(room).bytes >= SHARED_BYTES;
    }

    /// Queues the frame for every member separately.
    fn push_each(&mut self, room: usize, frame: &Frame, class: Class, is_except: impl Fn(&Entry<S>) -> bool) {
        let mut members = std::mem::take(&mut self.rooms.scratch);
        self.members(room, &mut members);
        for key in members.drain(..) {
            if !is_except(&self.entries[key]) {
                self.settle(key);
                self.enqueue(key, frame.clone(), class);
            }
        }
        self.rooms.scratch = members;
    }

    /// Settles the members that follow this room but must not get its next frame.
    fn settle_followers(&mut self, room: usize, is_except: impl Fn(&Entry<S>) -> bool) {
        if self.rooms.turn(room).frames.is_empty() {
            return;
        }
        let mut members = std::mem::take(&mut self.rooms.scratch);
        self.members(room, &mut members);
        for key in members.drain(..) {
            let entry = &self.entries[key];
            if entry.following.is_some_and(|following| following.room as usize == room) && is_except(entry) {
                self.settle(key);
            }
        }
        self.rooms.scratch = members;
    }

    fn members(&self, room: usize, out: &mut Vec<usize>) {
        match room {
            EVERYONE => out.extend(self.entries.iter().map(|(key, _)| key)),
            room => out.extend(&self.rooms.rooms[room].keys),
        }
    }

    pub(super) fn join(&mut self, connection: ConnectionId, room: Room) {
        let Some(&key) = self.by_connection.get(&connection) else {
            return;
        };
        if !self.entries[key].rooms.insert(room.clone()) {
            return;
        }
        let Rooms { by_name, rooms, .. } = &mut self.rooms;
        let index = *by_name.entry(room).or_insert_with(|| rooms.insert(Members::default()));
        rooms[index].keys.insert(key);
        rooms[index].turn.add_unmatched(key);
    }

    pub(super) fn leave(&mut self, connection: ConnectionId, room: &Room) {
        let Some(&key) = self.by_connection.get(&connection) else {
            return;
        };
        if self.entries[key].rooms.remove(room) {
            self.settle(key);
            self.rooms.forget(room, key);
        }
    }
}
