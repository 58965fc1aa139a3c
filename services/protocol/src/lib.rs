//! What a client and a ws-node say to each other: frames and close codes, pure data.
