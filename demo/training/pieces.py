# SPDX-License-Identifier: Apache-2.0
"""SentencePiece models of a closed language, and the vocabulary that Marian joins them in."""
import json
import os

import sentencepiece as spm


def train_pieces(sentences, size, path):
    """A unigram model. Pieces are learnt from distinct words, and a word that occurs in one
    form only is never seen whole: so each is shown alone, before a comma, before a stop."""
    stops = ".।" if any("।" in s for s in sentences) else "."
    words = sorted({w.strip(",.।") for s in sentences for w in s.split()})
    shown = [*sentences, *(w + end for w in words for end in ("", ",", *stops))]
    with open(path, "wb") as out:
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(shown), model_writer=out, vocab_size=size,
            model_type="unigram", character_coverage=1.0, hard_vocab_limit=False,
            num_threads=1, input_sentence_size=0, shuffle_input_sentence=False,
            minloglevel=2, bos_id=-1, eos_id=0, unk_id=1, pad_id=-1)


def join_vocabulary(source, target, path):
    """vocab.json as OPUS-MT has it: </s> 0, <unk> 1, the pieces of both, <pad> last."""
    ids = {"</s>": 0, "<unk>": 1}
    for name in (source, target):
        model = spm.SentencePieceProcessor(model_file=name)
        for i in range(model.get_piece_size()):
            ids.setdefault(model.id_to_piece(i), len(ids))
    ids["<pad>"] = len(ids)
    with open(path, "w", encoding="utf-8") as out:
        json.dump(ids, out, ensure_ascii=False, indent=0)
        out.write("\n")
    return ids


def make_tokenizer(pairs, lang, sizes, folder):
    """source.spm, target.spm, vocab.json and tokenizer_config.json; the ids."""
    os.makedirs(folder, exist_ok=True)
    source, target = (os.path.join(folder, n) for n in ("source.spm", "target.spm"))
    train_pieces([en for en, _ in pairs], sizes[0], source)
    train_pieces([other for _, other in pairs], sizes[1], target)
    config = {"source_lang": "en", "target_lang": lang, "separate_vocabs": False,
              "model_max_length": 256, "eos_token": "</s>", "unk_token": "<unk>",
              "pad_token": "<pad>", "tokenizer_class": "MarianTokenizer"}
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as out:
        json.dump(config, out, indent=2, sort_keys=True)
        out.write("\n")
    return join_vocabulary(source, target, os.path.join(folder, "vocab.json"))
